"""Removing files from the store, each while its row is held, so that no deed can come to need it meanwhile."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from medsr.jobs.files import file_path
from medsr.jobs.store import Store, many, one, reading, writing
from medsr.jobs.tables import artefact

__all__ = ["remove_purged", "remove_stray_files"]


def remove_purged(store: Store) -> int:
    """Remove the files that a purge condemned, also one that was killed before it came to it; returns how many."""
    with reading(store) as connection:
        condemned = many(connection, sa.select(artefact.c.sha256).where(artefact.c.state == "purging"))
    removed = 0
    for row in condemned:
        with writing(store) as connection:
            this = artefact.c.sha256 == row["sha256"]
            held = one(connection, sa.select(artefact.c.state).where(this).with_for_update())
            if held is None or held["state"] != "purging":
                continue
            file_path(store.files, row["sha256"]).unlink(missing_ok=True)
            connection.execute(sa.update(artefact).where(this).values(state="purged"))
            removed += 1
    return removed


def remove_stray_files(store: Store) -> int:
    """Remove files that no row keeps and that are older than a day: left by kills and by lost claims."""
    limit = store.now() - store.limits.unreferenced_s
    strays = [path for path in store.files.incoming.glob("*.part") if _older(path, limit)]
    for folder in sorted((store.folder / "sha256").iterdir()):
        old = [path for path in folder.iterdir() if _older(path, limit)]
        known = _kept_in(store, folder.name) if old else set()
        strays += [path for path in old if path.name not in known]
    return sum(_remove(store, path) for path in strays)


def _kept_in(store: Store, prefix: str) -> set[str]:
    inside = sa.and_(artefact.c.sha256 >= prefix, artefact.c.sha256 < f"{prefix}g", artefact.c.state == "kept")
    with reading(store) as connection:
        return {row["sha256"] for row in many(connection, sa.select(artefact.c.sha256).where(inside))}


def _older(path: Path, limit: float) -> bool:
    try:
        return path.stat().st_mtime < limit
    except FileNotFoundError:
        return False


def _remove(store: Store, path: Path) -> bool:
    if path.suffix == ".part":
        path.unlink(missing_ok=True)
        return True
    with writing(store) as connection:
        row = one(connection, sa.select(artefact.c.state).where(artefact.c.sha256 == path.name).with_for_update())
        if row is not None and row["state"] == "kept":
            return False
        path.unlink(missing_ok=True)
    return True
