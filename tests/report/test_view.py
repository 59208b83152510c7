"""The view of a result: the same pictures as the report, from a file without text, read a slice at a time."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.reports import restoration_of

from medsr.errors import IntegrityError
from medsr.records import Restoration, Task
from medsr.report.planes import slice_planes
from medsr.report.view import PLANES, View
from medsr.report.viewing import write_view


def view_of(restoration: Restoration, folder: Path) -> View:
    write_view(folder / "view.safetensors", restoration)
    return View(folder / "view.safetensors")


@pytest.mark.parametrize("modality", ["MR", "CT"])
@pytest.mark.parametrize("task", ["denoise", "superres"])
def test_slices_are_those_of_the_report_within_half_a_step(task: Task, modality: str, tmp_path: Path) -> None:
    made = restoration_of(task, modality)  # type: ignore[arg-type]  # a str from the parameter
    view = view_of(made, tmp_path)
    for index in range(made.geometry.shape[2]):
        planes = slice_planes(made, index)
        step = view.facts.slopes["restored"]
        assert planes.measured is not None
        assert planes.difference is not None
        for name, wanted in (("restored", planes.restored), ("input", planes.measured)):
            assert np.abs(view.slice_of(name, view.main, index) - wanted).max() <= 0.51 * step  # type: ignore[arg-type]
        assert np.abs(view.slice_of("difference", view.main, index) - planes.difference).max() <= 1.01 * step


def test_three_planes_show_the_same_voxel(tmp_path: Path) -> None:
    view = view_of(restoration_of("superres"), tmp_path)
    point = (11, 7, 3)
    values = []
    for plane in PLANES:
        axis = view.axes[plane]
        rest = tuple(point[other] for other in range(3) if other != axis)
        values.append([float(view.slice_of(name, plane, point[axis])[rest]) for name in view.images])
    assert values[0] == values[1] == values[2]


def test_synthetic_slices_have_no_input_in_any_plane(tmp_path: Path) -> None:
    view = view_of(replace(restoration_of(), synthetic_slices=(2,)), tmp_path)
    assert np.isnan(view.slice_of("input", "axial", 2)).all()
    assert np.isnan(view.slice_of("difference", "coronal", 4)[:, 2]).all()
    assert np.isfinite(view.slice_of("input", "sagittal", 4)[:, [0, 1, 3, 4]]).all()
    assert np.isfinite(view.slice_of("restored", "axial", 2)).all()


def test_spread_is_shown_where_there_is_one(tmp_path: Path) -> None:
    made = restoration_of()
    spread = np.linspace(0, 9, made.image.size, dtype=np.float32).reshape(made.image.shape)
    view = view_of(replace(made, spread=spread), tmp_path)
    assert view.images == ("input", "restored", "difference", "spread")
    assert view.slice_of("spread", "axial", 1) == pytest.approx(spread[:, :, 1], abs=view.facts.slopes["spread"])


def test_a_view_holds_no_text_of_the_scan(tmp_path: Path) -> None:
    view_of(restoration_of(name="DOE^JANE 1970.nii.gz"), tmp_path)
    assert b"DOE" not in (tmp_path / "view.safetensors").read_bytes()


def test_slice_axis_need_not_be_the_last(tmp_path: Path) -> None:
    made = restoration_of()
    turned = replace(made.geometry, slice_axis=0)
    view = view_of(replace(made, geometry=turned, measured=replace(made.measured, geometry=turned)), tmp_path)
    assert view.main == "sagittal"
    assert view.slice_of("restored", "axial", 3) == pytest.approx(
        made.image[:, :, 3], abs=view.facts.slopes["restored"]
    )
    assert view.voxels("restored").shape == made.image.shape


@pytest.mark.parametrize("damage", ["cut", "empty", "schema", "places", "arrays"])
def test_a_broken_view_is_refused(damage: str, tmp_path: Path) -> None:
    view_of(restoration_of(), tmp_path)
    path = tmp_path / "view.safetensors"
    data = path.read_bytes()
    changes = {
        "cut": data[:-10],
        "empty": b"",
        "schema": data.replace(b"medsr.view/1", b"medsr.view/9"),
        "places": changed_facts(data, "places", [[0], [0], [0]]),
        "arrays": changed_facts(data, "slopes", {"restored": 1.0}),
    }
    path.write_bytes(changes[damage])
    with pytest.raises(IntegrityError, match=r"view\.broken"):
        View(path)


def changed_facts(data: bytes, name: str, value: object) -> bytes:
    length = int.from_bytes(data[:8], "little")
    head = json.loads(data[8 : 8 + length])
    facts = json.loads(head["__metadata__"]["medsr"])
    facts[name] = value
    head["__metadata__"]["medsr"] = json.dumps(facts)
    text = json.dumps(head).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + length :]
