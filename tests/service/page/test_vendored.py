"""What was taken from others is exactly what its page says."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from medsr.service.page.assets import assets

PAGE = Path(__file__).parents[3] / "medsr" / "service" / "page"
TESTS = Path(__file__).parents[2] / "vendor"


def test_niivue_is_the_version_that_its_page_names() -> None:
    path = assets()["vendor/niivue/niivue.umd.js"].path
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    told = (path.parents[1] / "README.md").read_text(encoding="utf-8")
    assert found == "47b896b77ec4a5be3ef1949c33ad393b6f45629921f326c279000bcf51bdb4af"
    assert found in told
    assert "NiiVue 0.69.0" in told
    assert "BSD 2-Clause License" in (path.parent / "LICENSE.txt").read_text(encoding="utf-8")


def test_axe_is_the_version_that_its_page_names() -> None:
    found = hashlib.sha256((TESTS / "axe" / "axe.min.js").read_bytes()).hexdigest()
    assert found in (TESTS / "README.md").read_text(encoding="utf-8")


def test_nothing_in_the_pages_is_inline() -> None:
    for path in (assets()["css/page.css"].path.parents[2] / "templates").glob("*.j2"):
        text = path.read_text(encoding="utf-8")
        assert " style=" not in text, path.name
        assert "<style" not in text, path.name
        assert "javascript:" not in text, path.name
        assert " on" not in "".join(part.split(">")[0] for part in text.split("<") if 'on="' in part), path.name
        assert "| safe" not in text, path.name


@pytest.mark.parametrize("name", ["js/study.js", "css/study.css", "icon.svg"])
def test_assets_are_there(name: str) -> None:
    assert assets()[name].path.is_file()
