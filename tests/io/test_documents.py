"""docs/limits.md and docs/dicom.md say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from medsr.io.dicom import decode
from medsr.io.dicom.frames import CLASSES
from medsr.io.dicom.guard import EXPLICIT, IMPLICIT
from medsr.settings import Settings

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture
def page(request: pytest.FixtureRequest) -> str:
    path = DOCS / request.param
    if not path.is_file():
        pytest.skip("docs/ is not beside the tests: an installed copy has no documentation to compare")
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["limits.md"], indirect=True)
def test_every_limit_stands_there_with_its_default(page: str) -> None:
    rows = dict(re.findall(r"^\| `([a-z0-9_]+)` \| ([0-9.]+) \|", page, re.MULTILINE))
    limits = {
        name: str(field.default)
        for name, field in Settings.model_fields.items()
        if name.startswith(("max_", "reader_"))
    }
    assert rows == limits


@pytest.mark.parametrize("page", ["dicom.md"], indirect=True)
def test_every_class_and_syntax_stands_there(page: str) -> None:
    uids = set(re.findall(r"^\|[^|]*\| (1\.2\.840\.[0-9.]+) \|", page, re.MULTILINE))
    assert uids == {*CLASSES, *decode._DECODERS, IMPLICIT, EXPLICIT}
