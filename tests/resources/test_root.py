"""Where medsr's own data lie: in the wheel's _data, else beside the package, never elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from medsr.resources import data_root, root


@pytest.mark.parametrize("kind", ["models", "validation"])
def test_the_data_are_there(kind: str) -> None:
    expected = {"models": "LICENSE", "validation": "demo/t1_head.nii.gz"}[kind]
    assert (data_root(kind) / expected).is_file()


@pytest.mark.parametrize("kind", ["models", "validation"])
def test_a_wheel_has_its_own_copy_and_a_checkout_has_the_folders(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """_data wins where it is packed; without it the folder beside the package is taken, whether it exists or not."""
    package = tmp_path / "medsr"
    package.mkdir()
    monkeypatch.setattr(root, "_PACKAGE", package)
    assert data_root(kind) == tmp_path / kind
    (package / "_data" / kind).mkdir(parents=True)
    assert data_root(kind) == package / "_data" / kind


def test_the_package_is_found_from_its_own_file() -> None:
    assert Path(root.__file__).parent.parent.samefile(root._PACKAGE)
