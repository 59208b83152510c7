"""Writes the view of a result, slice by slice: what a review page shows, and no more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from medsr.records import Restoration, pixels_sha256
from medsr.report.planes import in_patient, nearest_places, slice_planes
from medsr.report.view import Row, ViewFacts, header
from medsr.report.windows import nice_limit
from medsr.resources import writing
from medsr.validation.maps import null_details, strength

__all__ = ["VIEW", "write_view"]

VIEW = "view.safetensors"

Plane = npt.NDArray[np.float32]
Planes = Iterator[Plane]

_LEVELS = 16000
"""Stored steps of the largest value: half the range of int16, so that no difference of two images overflows."""
_FINE_STEPS = 8
_SAMPLED = 9
_DIFFERENCE_PERCENTILE, _MAP_PERCENTILE, _BRIGHT_PERCENTILE = 97.0, 99.5, 99.5


def write_view(path: Path, restoration: Restoration) -> None:
    """Write the view of a restoration to `path`, whole or not at all; memory for a few slices is enough."""
    axis = restoration.geometry.slice_axis
    sources = _sources(restoration)
    facts = _facts(restoration, sources)
    grids = dict.fromkeys(sources, restoration.geometry.shape)
    grids["input"] = restoration.measured.geometry.shape
    arrays = {
        name: (shape[axis], *(size for other, size in enumerate(shape) if other != axis))
        for name, shape in grids.items()
    }
    with writing(path) as stream:
        stream.write(header(facts, arrays))
        for name, planes in sources.items():
            for plane in planes():
                steps = np.nan_to_num(plane.astype(np.float64) / facts.slopes[name])
                stream.write(np.clip(np.rint(steps), -32768, 32767).astype("<i2").tobytes())


def _sources(restoration: Restoration) -> dict[str, Callable[[], Planes]]:
    """What is stored, each as slices from the first to the last."""
    axis, count = restoration.geometry.slice_axis, restoration.geometry.shape[restoration.geometry.slice_axis]
    measured = restoration.measured.values
    sources: dict[str, Callable[[], Planes]] = {
        "restored": lambda: (np.take(restoration.image, index, axis) for index in range(count)),
        "input": lambda: (np.take(measured, index, axis) for index in range(measured.shape[axis])),
    }
    linear = restoration.operator.linear
    if linear.kind == "identity":
        return _with_spread(sources, restoration)
    if linear.slices_are_independent and linear.coarse_shape == restoration.measured.geometry.shape:
        sources["difference"] = lambda: (_difference(restoration, index) for index in range(count))
    sources["supplied"] = lambda: (strength(null) for _, _, null in null_details(restoration))
    return _with_spread(sources, restoration)


def _with_spread(sources: dict[str, Callable[[], Planes]], restoration: Restoration) -> dict[str, Callable[[], Planes]]:
    spread, axis = restoration.spread, restoration.geometry.slice_axis
    if spread is not None:
        sources["spread"] = lambda: (np.take(spread, index, axis) for index in range(spread.shape[axis]))
    return sources


def _difference(restoration: Restoration, index: int) -> Plane:
    """Restored minus the measured part; 0 on a slice that was never measured, which the view tells apart."""
    planes = slice_planes(restoration, index)
    return np.zeros_like(planes.restored) if planes.difference is None else planes.difference


def _facts(restoration: Restoration, sources: dict[str, Callable[[], Planes]]) -> ViewFacts:
    measured, geometry = restoration.measured, restoration.geometry
    largest = max(float(np.nanmax(np.abs(values))) for values in (restoration.image, measured.values))
    step = 1.0 if measured.modality == "CT" and largest <= _LEVELS else max(largest, 1e-6) / _LEVELS
    slopes = {name: step / _FINE_STEPS if name in ("supplied", "spread") else step for name in sources}
    if "difference" in slopes:
        slopes["difference"] = step / 2
    bright = float(np.percentile(measured.values, _BRIGHT_PERCENTILE))
    return ViewFacts(
        schema="medsr.view/1",
        modality=measured.modality,
        unit="HU" if measured.modality == "CT" else "",
        task=restoration.task,
        shape=geometry.shape,
        affine=_rows(geometry.world_from_voxel),
        slice_axis=geometry.slice_axis,
        measured_shape=measured.geometry.shape,
        measured_affine=_rows(measured.geometry.world_from_voxel),
        places=tuple(tuple(places.tolist()) for places in nearest_places(restoration)),
        synthetic=restoration.synthetic_slices,
        slopes=slopes,
        bright=bright if bright > 0 else 1.0,
        limits=_limits(restoration, sources),
        difference_words=_difference_words(restoration),
        pixels_sha256=pixels_sha256(restoration.image, geometry),
    )


def _limits(restoration: Restoration, sources: dict[str, Callable[[], Planes]]) -> dict[str, float]:
    """Ends of the colour scales, one for the whole volume so that slices can be compared."""
    count = restoration.geometry.shape[restoration.geometry.slice_axis]
    sampled = sorted({round(at) for at in np.linspace(0, count - 1, _SAMPLED)})
    usual = [0.0]
    for index in sampled:
        planes = slice_planes(restoration, index)
        if planes.difference is not None:
            usual.append(float(np.percentile(np.abs(planes.difference[in_patient(planes)]), _DIFFERENCE_PERCENTILE)))
    limits = {"difference": nice_limit(max(usual))}
    for name in ("supplied", "spread"):
        if name in sources:
            limits[name] = nice_limit(max(float(np.percentile(plane, _MAP_PERCENTILE)) for plane in sources[name]()))
    return limits


def _difference_words(restoration: Restoration) -> str:
    """What the difference of the first measured slice is made from."""
    count = restoration.geometry.shape[restoration.geometry.slice_axis]
    measured = next((index for index in range(count) if index not in restoration.synthetic_slices), 0)
    return slice_planes(restoration, measured).difference_words


def _rows(affine: npt.NDArray[np.float64]) -> tuple[Row, Row, Row, Row]:
    return tuple(tuple(row) for row in affine.tolist())  # type: ignore[return-value]  # of four rows of four
