"""The view of a result: the volumes that a review page shows, in one file that is read slice by slice without torch.

A safetensors file: int16 arrays with the slice axis first, and one JSON text of facts. It holds no header, name or
text of the scan, and nothing in it is executed. :mod:`medsr.report.viewing` writes it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cached_property
from itertools import permutations
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open

from medsr.errors import IntegrityError
from medsr.records import Task
from medsr.report.display import Display
from medsr.volume import Geometry, Modality

__all__ = ["PLANES", "SCHEMA", "ImageName", "PlaneName", "View", "ViewFacts"]

SCHEMA: Literal["medsr.view/1"] = "medsr.view/1"
KEY = "medsr"

PlaneName = Literal["axial", "coronal", "sagittal"]
ImageName = Literal["input", "restored", "difference", "supplied", "spread"]
PLANES: tuple[PlaneName, ...] = get_args(PlaneName)

Plane = npt.NDArray[np.float32]
Row = tuple[float, float, float, float]
Index = Annotated[int, Field(ge=0)]
_WORLD_AXES: dict[PlaneName, int] = {"sagittal": 0, "coronal": 1, "axial": 2}


class ViewFacts(BaseModel):
    """What the arrays of a view mean.

    slopes : image units a stored step, by array; limits : ends of the colour scales in image units; places : for every
    index along i, j, k of the restored grid the measured index that lies nearest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    schema_: Literal["medsr.view/1"] = Field(SCHEMA, alias="schema")
    modality: Modality
    unit: str
    task: Task
    shape: tuple[int, int, int]
    affine: tuple[Row, Row, Row, Row]
    slice_axis: Annotated[int, Field(ge=0, le=2)]
    measured_shape: tuple[int, int, int]
    measured_affine: tuple[Row, Row, Row, Row]
    places: tuple[tuple[Index, ...], tuple[Index, ...], tuple[Index, ...]]
    synthetic: tuple[Index, ...]
    slopes: dict[str, float]
    bright: float
    limits: dict[str, float]
    difference_words: str
    pixels_sha256: str

    @property
    def geometry(self) -> Geometry:
        """Of the restored grid."""
        return Geometry(self.shape, np.asarray(self.affine), self.slice_axis)


class View:
    """An open view. Planes come in array order of the two other axes, NaN where nothing was measured.

    Raises
    ------
    IntegrityError : ``view.broken``, if the file is not a view that this version can read.
    """

    def __init__(self, path: Path) -> None:
        try:
            opened: Any = safe_open(path, framework="numpy")
            self._file = opened
            self.facts = ViewFacts.model_validate_json((self._file.metadata() or {}).get(KEY, ""))
            self._check()
        except (SafetensorError, OSError, ValidationError) as error:
            raise IntegrityError("view.broken", "the stored view of this result cannot be read") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """The file is closed with the last reference to it."""

    @property
    def images(self) -> tuple[ImageName, ...]:
        """What there is to show."""
        held = set(self._file.keys())
        always: tuple[ImageName, ...] = ("input", "restored", "difference")
        return (*always, *(name for name in get_args(ImageName) if name not in always and name in held))

    @cached_property
    def axes(self) -> dict[PlaneName, int]:
        """The voxel axis that each plane cuts across: the assignment of axes to directions that fits best."""
        turn = np.abs(self.facts.geometry.world_from_voxel[:3, :3] / np.asarray(self.facts.geometry.spacing_mm))
        best = max(permutations(range(3)), key=lambda order: float(turn[range(3), order].sum()))
        return {name: best[_WORLD_AXES[name]] for name in PLANES}

    @property
    def main(self) -> PlaneName:
        """The plane in which slices were acquired."""
        return next(name for name in PLANES if self.axes[name] == self.facts.slice_axis)

    def display(self, plane: PlaneName) -> Display:
        """How the slices of a plane are turned for reading."""
        return Display.of(replace(self.facts.geometry, slice_axis=self.axes[plane]))

    def slice_of(self, image: ImageName, plane: PlaneName, index: int) -> Plane:
        """Slice `index` of an image across one of the three planes, in image units."""
        axis = self.axes[plane]
        if image == "input":
            return self._input(axis, index)
        if image == "difference" and "difference" not in self.facts.slopes:
            return self._stored("restored", axis, index) - self._input(axis, index)
        values = self._stored(image, axis, index)
        return self._unmeasured(values, axis, index) if image == "difference" else values

    def voxels(self, array: str) -> npt.NDArray[np.int16]:
        """A stored array whole, (I, J, K) of its own grid."""
        values: npt.NDArray[np.int16] = self._file.get_tensor(array)
        return np.moveaxis(values, 0, self.facts.slice_axis)

    def _input(self, axis: int, index: int) -> Plane:
        places = self.facts.places
        coarse = self._stored("input", axis, places[axis][index])
        first, second = (np.asarray(places[other]) for other in range(3) if other != axis)
        return self._unmeasured(coarse[np.ix_(first, second)], axis, index)

    def _unmeasured(self, values: Plane, axis: int, index: int) -> Plane:
        """NaN on synthetic slices."""
        if not self.facts.synthetic:
            return values
        if axis == self.facts.slice_axis:
            return np.full_like(values, np.nan) if index in self.facts.synthetic else values
        along = [other for other in range(3) if other != axis].index(self.facts.slice_axis)
        shown = values.copy()
        shown[(slice(None),) * along + (list(self.facts.synthetic),)] = np.nan
        return shown

    def _stored(self, array: str, axis: int, index: int) -> Plane:
        order = [self.facts.slice_axis, *(other for other in range(3) if other != self.facts.slice_axis)]
        place: list[Any] = [slice(None)] * 3
        place[order.index(axis)] = index
        plane: npt.NDArray[np.int16] = self._file.get_slice(array)[tuple(place)]
        left = [other for other in order if other != axis]
        turned = plane if left[0] < left[1] else plane.T
        return turned * np.float32(self.facts.slopes[array])

    def _check(self) -> None:
        facts = self.facts
        wanted = {"restored": facts.shape, "input": facts.measured_shape}
        wanted |= {name: facts.shape for name in facts.slopes if name not in wanted}
        if set(self._file.keys()) != set(wanted) or set(facts.slopes) != set(wanted):
            raise IntegrityError("view.broken", "the arrays of the view are not those that its facts name")
        for name, shape in wanted.items():
            stored = self._file.get_slice(name)
            turned = [shape[facts.slice_axis], *(n for axis, n in enumerate(shape) if axis != facts.slice_axis)]
            if stored.get_shape() != turned or stored.get_dtype() != "I16":
                raise IntegrityError("view.broken", f"array {name} of the view is not int16 of its shape")
        for axis in range(3):
            places = facts.places[axis]
            if len(places) != facts.shape[axis] or max(places) >= facts.measured_shape[axis]:
                raise IntegrityError("view.broken", f"axis {axis} of the view points outside the measurement")


def header(facts: ViewFacts, arrays: dict[str, tuple[int, ...]]) -> bytes:
    """The head of a safetensors file of int16 `arrays`, in the order of the data that follows."""
    entries: dict[str, object] = {"__metadata__": {KEY: facts.model_dump_json(by_alias=True)}}
    start = 0
    for name, shape in arrays.items():
        stop = start + 2 * int(np.prod(shape, dtype=np.int64))
        entries[name] = {"dtype": "I16", "shape": list(shape), "data_offsets": [start, stop]}
        start = stop
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
