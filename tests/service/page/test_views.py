"""Views that the page holds open."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.reports import restoration_of
from support.stores import queued, release_of

from medsr.errors import NotFound
from medsr.jobs.claims import claim, judging
from medsr.jobs.nouns import Claim, Job
from medsr.jobs.publish import publish
from medsr.jobs.results import result_files
from medsr.jobs.retention import purge
from medsr.jobs.store import Store
from medsr.report.viewing import write_view
from medsr.service.page.views import Views


def _held(store: Store, folder: Path, modality: str) -> Job:
    queued(store, modality.encode())
    held = claim(store, "w")
    assert isinstance(held, Claim)
    judging(store, held)
    folder.mkdir()
    write_view(folder / "view", restoration_of("denoise", modality))  # type: ignore[arg-type] -- one of the two
    return publish(store, held, release_of(folder / "out", image=modality.encode()), view=folder / "view")


def test_a_purged_view_is_neither_shown_nor_held_open(store: Store, tmp_path: Path) -> None:
    views = Views(store)
    erased, other = (_held(store, tmp_path / modality, modality) for modality in ("CT", "MR"))
    [sha256] = [file.sha256 for file in result_files(store, erased.id) if file.kind == "view"]
    assert views.of(erased).facts.modality == "CT"
    assert sha256 in Path("/proc/self/maps").read_text()
    gone = purge(store, erased.id, actor="admin")
    with pytest.raises(NotFound, match=r"view\.none"):
        views.of(gone)
    assert views.of(other).facts.modality == "MR"
    assert sha256 not in Path("/proc/self/maps").read_text()
