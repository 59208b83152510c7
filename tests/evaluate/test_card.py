"""A card holds the figures of the very bundle, what was chosen and what failed; its hash does not change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from support.evaluate_rows import row
from support.methods import site
from support.volumes import mr_volume

from medsr.errors import UsageError
from medsr.evaluate.card import read_figures, write_card
from medsr.evaluate.failures import failure_section, licences, worst_rows
from medsr.evaluate.judge import Row
from medsr.models.bundle import Bundle, load_bundle
from medsr.models.reset import with_settings


@pytest.fixture
def made(tmp_path: Path) -> Mapping[str, Bundle]:
    return site(tmp_path / "site", "MR")


def _rows(bundle: Bundle) -> list[Row]:
    rows = []
    for case, scanner, level, gain in (("a", "seen", "MR denoise 3 %", 2.0), ("b", "unseen", "MR denoise 9 %", 1.0)):
        own = row(case, case, bundle.name, 30 + gain, level=level, bundle=bundle.sha256[:12])
        found = [row(case, case, "input", 30, level=level), row(case, case, "TV", 31.5, level=level), own]
        rows += [replace(entry, scanner=scanner) for entry in found]  # type: ignore[arg-type]  # a literal
    return rows


def _document(rows: list[Row], path: Path) -> Path:
    record = {"printed": "Printed by `x`.", "slices": 1, "window": None, "rows": [asdict(entry) for entry in rows]}
    path.write_text(json.dumps(record))
    return path


def test_the_card_has_every_measured_section_and_the_hash_stays(made: Mapping[str, Bundle], tmp_path: Path) -> None:
    bundle = made["base"]
    figures = read_figures(bundle, [_document(_rows(bundle), tmp_path / "e.json")])
    text = write_card(bundle, figures, failures="- one").read_text()
    assert "| MR denoise 3 % | all | 32.00 | +2.00 (least +2.00) | TV | +0.50 (least +0.50) | 31.00 |" in text
    assert "| MR denoise 9 % | better than the input | 1 of 1 scans | met | 1 |" in text
    for part in ("## Training", "## Figures", "## Failures\n\n- one", "## Data and attribution", "Printed by `x`."):
        assert part in text
    assert "## Defaults" not in text
    assert load_bundle(bundle.folder).sha256 == bundle.sha256


def test_figures_of_another_bundle_of_that_name_are_refused(made: Mapping[str, Bundle], tmp_path: Path) -> None:
    rows = [replace(entry, bundle="0" * 12) if entry.bundle else entry for entry in _rows(made["base"])]
    for path in (_document(rows, tmp_path / "e.json"), tmp_path / "none.json"):
        with pytest.raises(UsageError) as caught:
            read_figures(made["base"], [path])
        assert caught.value.code == "models.figures"


def test_a_level_where_only_the_regressor_keeps_within_the_loss_is_said(
    made: Mapping[str, Bundle], tmp_path: Path
) -> None:
    item = {"level": "superres@2", "degradation": "MR x2", "loss_db": 0.0, "gradient_energy": 0.7, "subjects": 6}
    fit = [{**item, "fidelity": 1.0}, {**item, "fidelity": 0.75, "loss_db": 0.5}]
    bundle = with_settings(made["gan"], {"fidelity": {"superres@2": 1.0}, "fit": fit})
    figures = read_figures(bundle, [_document(_rows(bundle), tmp_path / "e.json")])
    text = write_card(bundle, figures, failures="").read_text()
    assert "comes nearer to the reference, at superres@2.**" in text
    assert "| MR x2 | superres@2 | 1 | +0.00 dB | 0.70 | yes | 6 |" in text


def test_the_worst_scan_is_named_and_the_worst_that_may_be_shown_too(made: Mapping[str, Bundle]) -> None:
    bundle = made["base"]
    rows = _rows(bundle)
    assert [item.row.case for item in worst_rows(bundle, rows, shown={"b": "CC BY"})] == ["b"]
    assert [item.row.case for item in worst_rows(bundle, rows, shown={"a": "CC BY"})] == ["b", "a"]


def test_pictures_of_scans_under_stricter_licences_are_not_drawn(tmp_path: Path) -> None:
    (tmp_path / "files.csv").write_text("file,licence\na.nii.gz,CC BY 4.0\nb.nii.gz,CC BY-SA 3.0\nc.nii.gz,\n")
    assert licences(tmp_path) == {"a": "CC BY 4.0"}


@pytest.mark.slow
def test_a_failure_comes_with_its_picture(made: Mapping[str, Bundle], tmp_path: Path) -> None:
    bundle, scans = made["base"], tmp_path / "scans"
    scans.mkdir()
    volume = mr_volume((80, 72, 5), sigma=10.0)
    image = nibabel.Nifti1Image(np.rint(volume.values).astype(np.int16), volume.geometry.world_from_voxel)
    image.header.set_xyzt_units("mm")
    image.to_filename(scans / "b.nii.gz")
    shown = {"b": "CC BY 4.0"}
    failures = worst_rows(bundle, _rows(bundle), shown=shown)
    text = failure_section(bundle, failures, scans, shown=shown, slices=1, window=None, settings={}, log=[].append)
    assert "worst-denoise.png) CC BY 4.0" in text
    assert (bundle.folder / "docs" / "worst-denoise.png").read_bytes().startswith(b"\x89PNG")
    assert "+1.00 over the input, TV 31.50" in text
