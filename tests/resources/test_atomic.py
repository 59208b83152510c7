"""A file is whole and on disk, or not there: under exceptions, kills and odd names."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from medsr.resources import sync_folder, write_bytes, writing

WRITER = """
import sys, time
from pathlib import Path
from medsr.resources import writing
with writing(Path(sys.argv[1])) as stream:
    stream.write(b"new" * 100_000)
    stream.flush()
    print("written", flush=True)
    time.sleep(60)
"""


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_bytes_arrive_whole(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "deeper" / "scan.json"
    write_bytes(path, b"one")
    write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert left(path.parent) == ["scan.json"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("before", [None, b"old"])
def test_an_exception_leaves_what_was_there(tmp_path: Path, error: type[BaseException], before: bytes | None) -> None:
    path = tmp_path / "scan.json"
    if before is not None:
        path.write_bytes(before)

    def interrupted() -> None:
        with writing(path) as stream:
            stream.write(b"half")
            raise error

    with pytest.raises(error):
        interrupted()
    assert left(tmp_path) == ([] if before is None else ["scan.json"])
    assert before is None or path.read_bytes() == before


@pytest.mark.parametrize("before", [None, b"old"])
def test_a_kill_leaves_the_old_file_or_none(tmp_path: Path, before: bytes | None) -> None:
    """SIGKILL in the middle of a write: no reader ever sees a part under the file's own name."""
    path = tmp_path / "scan.json"
    if before is not None:
        path.write_bytes(before)
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"written\n"
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
    assert path.exists() == (before is not None)
    assert before is None or path.read_bytes() == before
    parts = [name for name in left(tmp_path) if name != "scan.json"]
    assert all(name.startswith(".") and name.endswith(".part") for name in parts)
    write_bytes(path, b"after")
    assert path.read_bytes() == b"after"


@pytest.mark.parametrize(("mask", "bits"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_mode_bits_are_those_of_the_umask(tmp_path: Path, mask: int, bits: int) -> None:
    """A service's umask decides who reads a patient's scan."""
    before = os.umask(mask)
    try:
        write_bytes(tmp_path / "scan.json", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "scan.json").stat().st_mode) == bits


def test_the_umask_is_never_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Setting it, to read it, would for a moment open the files that other threads create."""
    monkeypatch.setattr(os, "umask", lambda _: pytest.fail("umask was set"))
    write_bytes(tmp_path / "scan.json", b"x")


@pytest.mark.parametrize("name", ["n" * 255, "é" * 127, "像" * 85])
def test_the_longest_names_can_be_written(tmp_path: Path, name: str) -> None:
    write_bytes(tmp_path / name, b"x")
    assert left(tmp_path) == [name]


def test_readers_beside_a_writer_see_whole_files(tmp_path: Path) -> None:
    """Old or new, never a mixture and never nothing."""
    path = tmp_path / "scan.bin"
    versions = [bytes([value]) * 200_000 for value in range(5)]
    write_bytes(path, versions[0])
    stop = threading.Event()

    def write() -> None:
        for turn in range(15):
            write_bytes(path, versions[turn % 5])
        stop.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not stop.is_set():
        assert path.read_bytes() in versions
        time.sleep(0.001)
    writer.join()


def test_a_folder_that_is_none_cannot_be_synced(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        sync_folder(tmp_path / "file")
