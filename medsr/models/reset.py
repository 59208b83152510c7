"""Writing the fitted settings of a bundle anew: metadata and manifest change, weights never.

The bundle's hash changes with its settings, since they change what comes out. A regressor has bundles that name it
by its hash and is left alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from medsr.errors import UsageError
from medsr.models.bundle import MANIFEST_FILES, Bundle, file_sha256, load_bundle
from medsr.resources import write_bytes

__all__ = ["canonical", "with_settings", "write_manifest"]


def canonical(record: Mapping[str, object]) -> bytes:
    """JSON as bundles hold it."""
    return (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode()


def write_manifest(folder: Path) -> None:
    """Vouch for the files of a bundle as they stand."""
    files = {name: file_sha256(folder / name) for name in MANIFEST_FILES}
    write_bytes(folder / "manifest.json", canonical({"schema": "medsr.manifest/1", "files": files}))


def with_settings(bundle: Bundle, settings: Mapping[str, object]) -> Bundle:
    """Replace the settings in a bundle's metadata; returns the bundle as it stands then.

    An interruption between the two files leaves a bundle that is refused, never one with other settings than its
    manifest says.

    Raises
    ------
    UsageError : ``bundle.settings``, for a regressor.
    """
    if bundle.regressor is None:
        raise UsageError("bundle.settings", f"{bundle.name} restores by {bundle.method}: it has nothing to fit")
    path = bundle.folder / "configs" / "metadata.json"
    metadata = json.loads(path.read_bytes())
    metadata["medsr"]["settings"] = dict(settings)
    write_bytes(path, canonical(metadata))
    write_manifest(bundle.folder)
    return load_bundle(bundle.folder)
