"""The folder of the store in which workers write what is not published yet."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from medsr.jobs.nouns import Claim
from medsr.jobs.store import Store

__all__ = ["WORK", "clear_work", "work_folder"]

WORK = "work"
_STALE_S = 86_400.0


@contextmanager
def work_folder(store: Store, held: Claim) -> Iterator[Path]:
    """A folder for this attempt alone, on the store's file system; gone afterwards."""
    root = store.folder / WORK
    root.mkdir(mode=0o700, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=root, prefix=f"{held.job_id[:8]}-{held.token}-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def clear_work(store: Store, *, all_of_it: bool) -> None:
    """Remove what killed workers left: everything where no other instance can run, else what is a day old."""
    for folder in (store.folder / WORK).glob("*"):
        with suppress(OSError):
            if all_of_it or time.time() - folder.stat().st_mtime > _STALE_S:
                shutil.rmtree(folder)
