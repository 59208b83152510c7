"""A PostgreSQL server of the tests' own: in a temporary folder, on a Unix socket, without fsync, stopped at the end."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["Server", "server"]

_USER = "postgres"


class Server:
    """A running server; databases are made from each other."""

    def __init__(self, socket: Path, binaries: Path) -> None:
        self.socket, self.binaries = socket, binaries

    def url(self, database: str) -> str:
        """SQLAlchemy's URL of a database."""
        return f"postgresql+psycopg://{_USER}@/{database}?host={self.socket}"

    def command(self, sql: str, *, database: str = "postgres") -> None:
        """Run statements outside a transaction."""
        import psycopg

        with psycopg.connect(f"host={self.socket} user={_USER} dbname={database}", autocommit=True) as connection:
            connection.execute(sql)  # type: ignore[call-overload]  # names come from the fixtures alone


def _binaries() -> Path:
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not versions:
        pytest.skip("postgresql is not installed (apt-get install; see .ci/run)")
    return versions[-1].parent


def _as_user(command: list[str | Path]) -> list[str]:
    """PostgreSQL refuses to run as root."""
    words = [str(word) for word in command]
    if os.geteuid() != 0:
        return words
    return ["runuser", "-u", _USER, "--", *words]


@contextmanager
def server() -> Iterator[Server]:
    """Start a server for one test session."""
    binaries = _binaries()
    # Not pytest's own folders: those are closed to other users, and too long for a socket's name.
    folder = Path(tempfile.mkdtemp(prefix="medsr-pg-"))
    data = folder / "data"
    options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off -c full_page_writes=off"
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, _USER, _USER)
        initdb = [binaries / "initdb", "-D", data, "-U", _USER, "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C"]
        subprocess.run(_as_user(initdb), check=True, capture_output=True, cwd="/")
        start = [binaries / "pg_ctl", "-D", data, "-l", folder / "log", "-w", "-o", options, "start"]
        subprocess.run(_as_user(start), check=True, capture_output=True, cwd="/")
        try:
            yield Server(folder, binaries)
        finally:
            stop = [binaries / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop"]
            subprocess.run(_as_user(stop), check=False, capture_output=True, cwd="/")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
