"""Where the versioned data (bundles, policies, calibration) lie."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

__all__ = ["data_root"]

_PACKAGE = Path(__file__).resolve().parent.parent


def data_root(kind: Literal["models", "validation"]) -> Path:
    """Folder of medsr's own `models` or `validation` data.

    A wheel carries them as ``medsr/_data/<kind>``; a checkout has them beside the package. Site-packages is
    never searched: an editable install leaves a copy there that goes stale.
    """
    packed = _PACKAGE / "_data" / kind
    return packed if packed.is_dir() else _PACKAGE.parent / kind
