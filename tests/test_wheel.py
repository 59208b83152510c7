"""The wheel carries medsr, its data as the checkout has them, and nothing else."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path

import pytest

import medsr
from medsr.resources import data_root

CHECKOUT = Path(__file__).resolve().parents[1]
INSTALLED = Path(medsr.__file__).resolve().parent.parent != CHECKOUT


def hashes(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("kind", ["models", "validation"])
def test_the_data_are_those_of_the_checkout(kind):
    assert hashes(data_root(kind)) == hashes(CHECKOUT / kind)
    assert (data_root(kind) == CHECKOUT / kind) is not INSTALLED


def test_the_only_top_level_is_medsr():
    if not INSTALLED:
        assert (CHECKOUT / "medsr").is_dir()
        return
    tops = {path.parts[0] for path in metadata.files("medsr") or []}
    assert {top for top in tops if not top.endswith(".dist-info") and top != ".."} == {"medsr"}


def test_templates_travel():
    assert (Path(medsr.__file__).parent / "report" / "templates" / "report.html.j2").is_file()
