"""A second name for released files, where a dataset wants them; nothing is copied that can be linked."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import cast

from medsr.errors import IntegrityError, TransitionError
from medsr.release.quarantine import state_of
from medsr.release.record import RECORD_SUFFIX, parse_signed, verify_file
from medsr.resources import sync_folder

__all__ = ["place_released"]


def place_released(folder: Path, target: Path) -> tuple[Path, ...]:
    """Show what was released in `folder` under the same names in `target` too: image, sidecar, signed record.

    Earlier files of these names give way. Called again it changes nothing.

    Raises
    ------
    TransitionError : ``release.transition``, if the state is not released.
    IntegrityError : ``record.hash`` and others, if the files are not those that were judged.
    """
    state = state_of(folder)
    if state != "released":
        raise TransitionError("release.transition", f"what is {state} cannot be placed")
    records = sorted(folder.glob(f"*{RECORD_SUFFIX}"))
    if len(records) != 1:
        raise IntegrityError("record.broken", f"{folder.name} holds {len(records)} signed records, not one")
    verify_file(records[0])
    names = [*cast("dict[str, str]", parse_signed(records[0])["files"]), records[0].name]
    target.mkdir(parents=True, exist_ok=True)
    placed = tuple(_linked(folder / name, target / name) for name in names)
    sync_folder(target)
    return placed


def _linked(source: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{target.name[:200]}.part"
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, temporary)
    temporary.replace(target)
    # Renaming one link over another of the same file is a no-op that leaves the first name (rename(2)).
    temporary.unlink(missing_ok=True)
    return target
