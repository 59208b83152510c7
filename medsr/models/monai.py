"""The bundle as MONAI sees it: `python -m monai.bundle run` builds the network through this function."""

from __future__ import annotations

from pathlib import Path

from medsr.models.bundle import load_bundle, load_network
from medsr.models.generator import Generator

__all__ = ["load_bundle_network"]


def load_bundle_network(folder: str) -> Generator:
    """The network of the bundle in `folder`, with its verified weights.

    MONAI's own loader knows only pickled ``model.pt``; medsr ships safetensors.
    """
    return load_network(load_bundle(Path(folder).resolve())).eval()
