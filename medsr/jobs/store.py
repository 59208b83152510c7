"""The handle on the store, its two kinds of transaction, and what a driver's error means to a caller.

Engines are not shared over a fork: every process opens the store for itself.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from medsr.errors import IntegrityError, MedsrError, Unavailable, UsageError
from medsr.jobs import lock
from medsr.jobs.clock import SYSTEM_CLOCK, SYSTEM_RANDOM, Clock, Random
from medsr.jobs.files import FileStore, make_folders

if TYPE_CHECKING:
    from medsr.jobs.states import JobState

__all__ = [
    "Limits", "Row", "Store", "canonical", "close_store", "many", "one", "open_store", "reading", "sha256_of",
    "writing",
]  # fmt: skip

DATABASE = "medsr.sqlite"
_DAY_S = 86_400.0

Row = dict[str, Any]


def _ages() -> dict[JobState, float]:
    return {
        "released": 30 * _DAY_S, "review": 90 * _DAY_S, "rejected": 30 * _DAY_S, "blocked": 30 * _DAY_S,
        "withdrawn": 30 * _DAY_S, "failed": 14 * _DAY_S, "cancelled": 1 * _DAY_S, "superseded": 7 * _DAY_S,
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Limits:
    """Figures of the store that a site may set.

    Parameters
    ----------
    lease_s : a claim ends this long after its last heartbeat.
    attempts : a job whose claim was lost this often has failed.
    most_queued, most_queued_by_owner : beyond it a job is refused.
    busy_s : wait for another writer before the store counts as busy.
    min_free_bytes, min_free_fraction : intake stops below the larger of both.
    ballast_bytes : a file that is given up to make room for deletions on a full disk.
    wal_bytes : the write-ahead log is cut back above it.
    unreferenced_s : a file that no row names is removed at this age.
    idempotency_s, session_s : how long keys of requests and sessions of the page live.
    keep_s : age at which a job's data are purged, by state.
    """

    lease_s: float = 20.0
    attempts: int = 3
    most_queued: int = 10_000
    most_queued_by_owner: int = 1_000
    busy_s: float = 10.0
    min_free_bytes: int = 10 << 30
    min_free_fraction: float = 0.05
    ballast_bytes: int = 64 << 20
    wal_bytes: int = 64 << 20
    unreferenced_s: float = _DAY_S
    idempotency_s: float = _DAY_S
    session_s: float = _DAY_S / 2
    keep_s: Mapping[JobState, float] = field(default_factory=_ages)


@dataclass(frozen=True, slots=True)
class Store:
    """What every deed takes first: rows, files, clock, chance, limits."""

    engine: Engine
    files: FileStore
    clock: Clock
    random: Random
    limits: Limits
    lock: int = field(repr=False, compare=False, default=-1)

    @property
    def folder(self) -> Path:
        """Folder of the files, and of the rows where they stand in SQLite."""
        return self.files.root

    @property
    def sqlite(self) -> bool:
        """True for the embedded engine."""
        return self.engine.dialect.name == "sqlite"

    def now(self) -> float:
        """Seconds since 1970."""
        return self.clock.wall()

    def steady(self, connection: Connection) -> tuple[str, float]:
        """Epoch and seconds of the clock that leases run on: the machine's, or the one that all hosts share."""
        if not self.sqlite and self.clock is SYSTEM_CLOCK:
            seconds = connection.execute(sa.text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one()
            return "database", float(seconds)
        return self.clock.epoch(), self.clock.steady()


def open_store(
    folder: Path,
    *,
    url: str | None = None,
    limits: Limits | None = None,
    clock: Clock = SYSTEM_CLOCK,
    random: Random = SYSTEM_RANDOM,
    create: bool = True,
) -> Store:
    """Open the store in `folder`, make or migrate it where `create` allows, and check what it stands on.

    Parameters
    ----------
    folder : of the files, and of SQLite's database.
    url : a SQLAlchemy URL of PostgreSQL (``postgresql+psycopg://...``); None is SQLite inside `folder`.
    create : False refuses a store that is not there or has another schema.

    Raises
    ------
    UsageError : ``store.none``, ``store.schema``, ``store.network``, ``store.locked``.
    IntegrityError : ``store.pragma``, ``store.corrupt``.
    Unavailable : ``store.busy``, ``store.read_only``, ``store.full``.
    """
    from medsr.jobs.migrate import check_schema, migrate  # imports alembic, which few callers need twice

    if url is None and not create and not (folder / DATABASE).is_file():
        raise UsageError("store.none", f"{folder.name} holds no job store")
    with _errors():
        if create:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            make_folders(FileStore(folder))
        if url is None:
            lock.refuse_network(folder)
        handle = lock.share(folder)
    chosen = limits or Limits()
    engine = _engine(folder, url, chosen)
    store = Store(engine, FileStore(folder), clock, random, chosen, handle)
    try:
        with _errors():
            if store.sqlite:
                _check_sqlite(store)
        if create:
            migrate(store)
        else:
            check_schema(store)
    except BaseException:
        close_store(store)
        raise
    return store


def close_store(store: Store) -> None:
    """Give connections and the share of the lock file back."""
    store.engine.dispose()
    if store.lock >= 0:
        os.close(store.lock)


@contextmanager
def writing(store: Store) -> Iterator[Connection]:
    """One transaction that may write, begun as a writer (BEGIN IMMEDIATE), committed at the end or not at all."""
    with _errors(), store.engine.connect().execution_options(medsr_write=True) as connection, connection.begin():
        yield connection


@contextmanager
def reading(store: Store) -> Iterator[Connection]:
    """One transaction that only reads, of one state of the store."""
    with _errors(), store.engine.connect() as connection, connection.begin():
        yield connection


def one(connection: Connection, wanted: sa.Executable) -> Row | None:
    """The one row of a statement, or None; several are a defect."""
    rows = many(connection, wanted)
    if len(rows) > 1:
        raise IntegrityError("store.row", f"{len(rows)} rows stand where one belongs")
    return rows[0] if rows else None


def many(connection: Connection, wanted: sa.Executable) -> list[Row]:
    """All rows of a statement."""
    found = connection.execute(wanted)
    names = list(found.keys())
    return [dict(zip(names, row, strict=True)) for row in found]


def canonical(value: object) -> str:
    """JSON in one form: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_of(value: object) -> str:
    """sha256 of the canonical JSON of a value."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def _engine(folder: Path, url: str | None, limits: Limits) -> Engine:
    if url is not None:
        return sa.create_engine(url, pool_pre_ping=True, isolation_level="READ COMMITTED", hide_parameters=True)
    path = (folder / DATABASE).absolute()
    made = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        connect_args={"timeout": limits.busy_s},
        pool_size=8,
        hide_parameters=True,  # values stay out of messages and logs
    )
    sa.event.listen(made, "connect", _configure)
    sa.event.listen(made, "begin", _begin)
    return made


def _configure(connection: object, _record: object) -> None:
    """WAL with FULL: a commit is on disk when it returns. Set on every connection, since FULL is not stored."""
    # The driver would begin transactions by itself, late and deferred; such a one fails at once on its first write.
    connection.isolation_level = None  # type: ignore[attr-defined]  # sqlite3.Connection behind SQLAlchemy's proxy
    cursor = connection.cursor()  # type: ignore[attr-defined]  # as above
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "wal_autocheckpoint=1000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    write = connection.get_execution_options().get("medsr_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _check_sqlite(store: Store) -> None:
    """Read back what was asked for: a file system may refuse WAL, a build may change defaults."""
    with store.engine.connect() as connection:
        cursor = connection.connection.cursor()
        found = {name: str(cursor.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("journal_mode", "synchronous")}
        whole = str(cursor.execute("PRAGMA quick_check(1)").fetchone()[0])
        cursor.close()
    if found != {"journal_mode": "wal", "synchronous": "2"}:
        raise IntegrityError("store.pragma", f"SQLite answers {found}, not WAL and FULL")
    if whole != "ok":
        raise IntegrityError("store.corrupt", "SQLite's quick check finds the database damaged")


_SQLITE_WORDS: tuple[tuple[str, Literal["busy", "full", "read_only", "corrupt"]], ...] = (
    ("database is locked", "busy"), ("database table is locked", "busy"),
    ("disk is full", "full"), ("readonly database", "read_only"), ("unable to open database", "read_only"),
    ("malformed", "corrupt"), ("not a database", "corrupt"), ("disk i/o error", "corrupt"),
)  # fmt: skip
_STATES: Mapping[str, Literal["busy", "full", "read_only", "corrupt"]] = {
    "53100": "full", "25006": "read_only", "40001": "busy", "40P01": "busy", "55P03": "busy", "57014": "busy",
    "53300": "busy", "57P01": "busy", "57P03": "busy", "XX001": "corrupt", "XX002": "corrupt",
}  # fmt: skip


@contextmanager
def _errors() -> Iterator[None]:
    """Turn what drivers and the file system raise into reasons; anything else stays a defect."""
    try:
        yield
    except sa.exc.TimeoutError as error:
        raise Unavailable("store.busy", "no connection came free in time") from error
    except sa.exc.DBAPIError as error:
        found = _meaning(error)
        if found is None:
            raise
        raise found from error
    except OSError as error:
        code = {28: "store.full", 122: "store.full", 30: "store.read_only", 13: "store.read_only"}.get(error.errno or 0)
        if code is None:
            raise
        raise Unavailable(code, "the store's folder takes no bytes") from error


def _meaning(error: sa.exc.DBAPIError) -> MedsrError | None:
    state = getattr(error.orig, "sqlstate", None)
    text = str(error.orig).lower()
    kind = _STATES.get(str(state)) if state else next((kind for words, kind in _SQLITE_WORDS if words in text), None)
    if kind is None and error.connection_invalidated:
        kind = "busy"
    if kind is None and isinstance(error, sa.exc.OperationalError) and "connect" in text:
        kind = "busy"
    if kind == "corrupt":
        return IntegrityError("store.corrupt", "the database engine finds its file damaged")
    if kind == "busy":
        return Unavailable("store.busy", "another writer holds the store, or it cannot be reached")
    if kind == "full":
        return Unavailable("store.full", "the store's disk is full")
    return Unavailable("store.read_only", "the store cannot be written") if kind == "read_only" else None
