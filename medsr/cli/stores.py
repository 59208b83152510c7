"""The job store that the operator's commands work on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from medsr.jobs.store import Store

__all__ = ["StoreFolder", "opened_store", "time_of"]

StoreFolder = Annotated[
    Path | None, typer.Option("--store", help="Folder of the job store; MEDSR_STORE or ./medsr-store by default.")
]


@contextmanager
def opened_store(folder: Path | None) -> Iterator[Store]:
    """The store that `medsr serve` uses under the same settings; it may be running.

    Raises
    ------
    UsageError : ``store.none``, ``store.schema``, ``serve.*``.
    """
    from medsr.jobs.store import close_store, open_store
    from medsr.service.settings import configure

    settings = configure(store=folder)
    store = open_store(settings.store, url=settings.database_url or None, create=False)
    try:
        yield store
    finally:
        close_store(store)


def time_of(seconds: float | None) -> str:
    """A time as people read it, UTC; a dash for none."""
    import datetime

    if seconds is None:
        return "-"
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="seconds")
