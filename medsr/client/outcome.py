"""A job of the client, and what may be taken home of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medsr.client.client import Client

__all__ = ["Outcome"]


class Outcome:
    """A job. ``save(folder)`` writes what the gate, or a reader, has released."""

    def __init__(self, client: Client, job: Mapping[str, Any]) -> None:
        self._client = client
        self.job = dict(job)

    @property
    def id(self) -> str:
        """Of the job."""
        return str(self.job["id"])

    @property
    def state(self) -> str:
        """``released``, or ``review`` while it waits for a reader, or why there is nothing: see docs/service.md."""
        return str(self.job["state"])

    @property
    def released(self) -> bool:
        """Whether the result may be used."""
        return self.state == "released"

    @property
    def reason(self) -> str | None:
        """Reason code of a failure or block."""
        found = self.job["reason"]
        return None if found is None else str(found)

    def refresh(self) -> Outcome:
        """Ask again how the job stands."""
        self.job = self._client.job(self.id)
        return self

    def wait(self, *, progress: Callable[[Mapping[str, Any]], None] | None = None) -> Outcome:
        """Wait until nothing more is computed; `progress` is called with every event."""
        for event in self._client.events(self.id):
            if progress is not None:
                progress(event)
        return self.refresh()

    def report(self) -> dict[str, Any]:
        """The report: findings, channels, the gate's word and its reasons."""
        return self._client.report(self.id)

    def save(self, folder: str | Path) -> list[Path]:
        """Write the report, and of a released job every file; returns what was written.

        A result that is held, rejected or failed leaves its report at most: look at `state` before using the folder.
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        written = []
        for file in self.refresh().job["results"]:
            if self.released or file["kind"] == "report":
                path = target.joinpath(*_parts(file["name"]))
                self._client.download(self.id, file["name"], path)
                written.append(path)
        return written

    def __repr__(self) -> str:
        return f"<job {self.id} {self.state}>"


def _parts(name: str) -> list[str]:
    """A result's name as path below the folder; the service's word is not trusted with more."""
    parts = name.split("/")
    if any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
        raise ValueError("the service named a file that would leave the folder")
    return parts
