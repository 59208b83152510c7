"""Evidence that needs a network: run here, carried in the Restoration, judged where no network is known."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medsr.models.bundle import Bundle, load_network, regressor_of
from medsr.models.engine import TorchEngine
from medsr.physics import Operator, SliceMask
from medsr.records import HiddenSlice, Restoration, SecondFamily
from medsr.restore.probe import probe_discs
from medsr.restore.request import RestoreRequest
from medsr.restore.run import Run
from medsr.volume import Volume

__all__ = ["gathered", "hidden_slices", "second_family"]

MOST_HIDDEN = 6
_SIDE = 2
_BODY_HU, _BODY_SHARE = -500.0, 0.1
_FEWEST_PIXELS = 100


def gathered(restoration: Restoration, run: Run, bundle: Bundle, request: RestoreRequest) -> Restoration:
    """The restoration with the evidence that the request names and that its method and task can give."""
    timings = dict(restoration.timings)
    result = restoration
    masked = isinstance(restoration.operator.linear, SliceMask)
    started = time.perf_counter()
    if "probe" in request.evidence and not masked:
        result = replace(result, probe=probe_discs(restoration, run))
        timings["probe_s"] = time.perf_counter() - started
    started = time.perf_counter()
    if "family" in request.evidence and bundle.method != "regress":
        result = replace(result, family=second_family(restoration, run, bundle, request))
        timings["family_s"] = time.perf_counter() - started
    started = time.perf_counter()
    if "hidden" in request.evidence and masked:
        result = replace(result, hidden=hidden_slices(restoration, run))
        timings["hidden_s"] = time.perf_counter() - started
    return replace(result, timings=timings)


def second_family(restoration: Restoration, run: Run, bundle: Bundle, request: RestoreRequest) -> SecondFamily:
    """The estimate of the regressor that a GAN end or a bridge was trained beside."""
    engine = run.painter.engine
    if run.painter.sampling is None:
        engine = TorchEngine.of(load_network(regressor_of(bundle)), device=request.device, precision=request.precision)
    return SecondFamily(run.by(engine)(restoration.measured, restoration.operator).image, "regress")


def hidden_slices(restoration: Restoration, run: Run) -> tuple[HiddenSlice, ...]:
    """Hide acquired slices, at most six and spread over the stack, and restore each from its neighbours.

    Each is restored as if it had been lost as well: from two acquired slices a side, or as many as there are.
    """
    linear, measured = restoration.operator.linear, restoration.measured
    if not isinstance(linear, SliceMask):
        raise TypeError(f"{linear.kind} hides no slices")
    inner = range(1, len(linear.kept) - 1)
    chosen = np.unique(np.linspace(1, len(linear.kept) - 2, min(len(inner), MOST_HIDDEN)).round().astype(int))
    found = (_hidden(measured, restoration.operator, linear, int(place), run) for place in chosen if len(inner))
    return tuple(item for item in found if item is not None)


def _hidden(measured: Volume, operator: Operator, linear: SliceMask, place: int, run: Run) -> HiddenSlice | None:
    """One acquired slice restored from the others; None where it shows too little of a body."""
    axis, kept = linear.slice_axis, linear.kept
    truth = np.array(np.moveaxis(measured.values, axis, 0)[place], np.float32)
    body = _body(truth, measured)
    if body.sum() < _FEWEST_PIXELS:
        return None
    low, high = max(0, place - _SIDE), min(len(kept), place + _SIDE + 1)
    used = [index for index in range(low, high) if index != place]
    shape = list(linear.shape)
    shape[axis] = kept[high - 1] - kept[low] + 1
    part = SliceMask((shape[0], shape[1], shape[2]), tuple(kept[index] - kept[low] for index in used), axis)
    y = replace(
        measured,
        values=np.asfortranarray(np.take(measured.values, used, axis)),
        geometry=replace(measured.geometry, shape=part.coarse_shape),
        padding=None,
    )
    made = np.take(run(y, replace(operator, linear=part)).image, kept[place] - kept[low], axis)
    before, after = kept[place] - kept[place - 1], kept[place + 1] - kept[place]
    share = before / (before + after)
    line = (1 - share) * np.moveaxis(measured.values, axis, 0)[place - 1] + share * np.moveaxis(
        measured.values, axis, 0
    )[place + 1]
    return HiddenSlice(
        index=kept[place],
        error=_rms(made - truth, body),
        linear=_rms(line - truth, body),
        distance=before + after,
    )


def _body(plane: npt.NDArray[np.float32], measured: Volume) -> npt.NDArray[np.bool_]:
    if measured.modality == "CT":
        return np.asarray(ndimage.binary_fill_holes(ndimage.binary_opening(plane > _BODY_HU, iterations=2)))
    smooth = ndimage.gaussian_filter(plane, 1.5)
    return np.asarray(smooth > _BODY_SHARE * float(np.percentile(measured.values[::4, ::4], 99)))


def _rms(difference: npt.NDArray[np.float32], body: npt.NDArray[np.bool_]) -> float:
    return float(np.sqrt((difference[body].astype(np.float64) ** 2).mean()))
