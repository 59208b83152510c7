"""Open views of results: hashed once when opened, a few kept open, since a page asks for slice after slice."""

from __future__ import annotations

import threading
from collections import OrderedDict

from medsr.errors import NotFound
from medsr.jobs.files import file_path, has_file, open_checked
from medsr.jobs.nouns import Job
from medsr.jobs.results import result_files
from medsr.jobs.store import Store
from medsr.report.view import View

__all__ = ["Views", "has_view"]

_MOST = 8
_SHOWN = ("review", "released")


def has_view(store: Store, job: Job) -> bool:
    """Whether pictures of a job may be drawn: it is held or released, and its view was not purged."""
    return job.state in _SHOWN and _sha256(store, job) is not None


class Views:
    """The open views of one process."""

    def __init__(self, store: Store) -> None:
        self._store, self._lock = store, threading.Lock()
        self._open: OrderedDict[str, View] = OrderedDict()

    def of(self, job: Job) -> View:
        """The view of a held or released job.

        Raises
        ------
        NotFound : ``view.none``.
        IntegrityError : ``store.rot``, ``view.broken``.
        """
        sha256 = _sha256(self._store, job) if job.state in _SHOWN else None
        if sha256 is None:
            raise NotFound("view.none", f"job {job.id[:8]} has no pictures")
        with self._lock:
            self._close_purged()
            if sha256 in self._open:
                self._open.move_to_end(sha256)
                return self._open[sha256]
        open_checked(self._store.files, sha256).close()
        opened = View(file_path(self._store.files, sha256))
        with self._lock:
            self._open[sha256] = opened
            while len(self._open) > _MOST:
                self._open.popitem(last=False)
        return opened

    def _close_purged(self) -> None:
        """A file that is mapped keeps its bytes on the disk after its name is gone."""
        for sha256 in [held for held in self._open if not has_file(self._store.files, held)]:
            del self._open[sha256]


def _sha256(store: Store, job: Job) -> str | None:
    return next((item.sha256 for item in result_files(store, job.id) if item.kind == "view" and item.kept), None)
