"""The maps beside the pictures: contradicted, supplied by the model, trust, and the error where a reference is."""

from __future__ import annotations

import numpy as np

from medsr.records import Judgement, Restoration
from medsr.report.panels import Legend, Panel, Scene, colours, empty, panel, signed_legend
from medsr.report.planes import in_patient
from medsr.report.windows import DIVERGING, SEQUENTIAL, WITH_MISSING, nice_limit, on_palette
from medsr.report.words import number
from medsr.validation.local_noise import plane_of

__all__ = ["error_panels", "map_panels"]

_SUPPLIED_PERCENTILE = 99.5
_ERROR_PERCENTILE = 99.0
_LARGEST_Z = 10.0
_ERRORS = {
    "range_error": ("Error in what was measured", "Restored minus reference, as far as the scan saw it"),
    "null_error": ("Error in what was supplied", "Restored minus reference, as far as no scan saw it"),
}


def map_panels(
    scene: Scene, restoration: Restoration, judgement: Judgement, index: int, *, main: bool
) -> tuple[Panel, ...]:
    """Contradicted, supplied and trust; of a slice that is shown small, the first alone."""
    found = [*_contradicted(scene, judgement, index)]
    if main:
        if restoration.operator.linear.kind != "identity":
            found += _supplied(scene, judgement, index)
        found.append(_trust(scene, restoration, judgement, index))
    return tuple(found)


def error_panels(scene: Scene, judgement: Judgement, index: int) -> tuple[Panel, ...]:
    """The error against the reference in the measured and the supplied part; nothing without a reference."""
    planes = {
        name: plane
        for name in _ERRORS
        if (plane := judgement.maps.get(name, {}).get(index)) is not None and plane.shape == scene.planes.restored.shape
    }
    if not planes:
        return ()
    inside = in_patient(scene.planes)
    limit = nice_limit(max(float(np.percentile(np.abs(plane[inside]), _ERROR_PERCENTILE)) for plane in planes.values()))
    return tuple(
        panel(
            scene, name, title, words, planes[name], lambda plane: on_palette(plane, low=-limit, high=limit),
            palette=DIVERGING,
            legend=signed_legend(limit, scene.unit, "Orange: brighter than the reference; blue: darker"),
        )
        for name, (title, words) in _ERRORS.items()
        if name in planes
    )  # fmt: skip


def _contradicted(scene: Scene, judgement: Judgement, index: int) -> list[Panel]:
    panels = []
    z = judgement.maps.get("contradicted", {}).get(index)
    if z is not None and z.shape == scene.planes.restored.shape:
        limit = _LARGEST_Z
        decides = f"; decides beyond ±{number(scene.threshold)}" if scene.threshold is not None else ""
        words = f"Orange: brighter than the scan allows; blue: darker{decides}; grey: not judged"
        # The judge's z is positive where the measurement is brighter; the picture follows the restored image.
        # It is exactly 0 where nothing was judged, which must not look like agreement.
        panels.append(
            panel(
                scene,
                "contradicted",
                "Contradicted",
                "How far image and scan differ, in noise deviations",
                np.where(z == 0, np.nan, -z).astype(np.float32),
                lambda plane: on_palette(plane, low=-limit, high=limit, missing=True),
                palette=WITH_MISSING,
                legend=signed_legend(limit, "sd", words),
            )
        )
    return panels


def _supplied(scene: Scene, judgement: Judgement, index: int) -> list[Panel]:
    panels = []
    energy = judgement.maps.get("supplied", {}).get(index)
    if energy is not None and energy.shape == scene.planes.restored.shape:
        most = nice_limit(float(np.percentile(energy, _SUPPLIED_PERCENTILE)))
        panels.append(
            panel(
                scene,
                "supplied",
                "Measured or supplied",
                "Local strength of fine detail that no measurement stands behind",
                energy,
                lambda plane: on_palette(plane, low=0, high=most),
                palette=SEQUENTIAL,
                legend=Legend(
                    colours(SEQUENTIAL),
                    "measured",
                    "",
                    f"{number(most)} {scene.unit}".strip(),
                    "Black: measured; bright: supplied by the model",
                ),
            )
        )
    return panels


def _trust(scene: Scene, restoration: Restoration, judgement: Judgement, index: int) -> Panel:
    """The spread of the draws, where there were any; else a word on why there is no such map."""
    spread = restoration.spread
    if spread is None or spread.shape != restoration.geometry.shape:
        one = "There is no map of trust: this method makes one image and draws no others to compare it with"
        return empty(scene, "trust", "Trust", one)
    plane = plane_of(spread, index, restoration.geometry.slice_axis)
    most = nice_limit(float(np.percentile(plane[in_patient(scene.planes)], _SUPPLIED_PERCENTILE)))
    scaled = any(item.name == "N2" and not item.uncalibrated and item.threshold for item in judgement.channels)
    bound = "" if scaled else "; not calibrated, so it ranks places and bounds no error"
    return panel(
        scene, "trust", "Trust", f"How far repeated draws of the model differ{bound}", plane,
        lambda values: on_palette(values, low=0, high=most),
        palette=SEQUENTIAL,
        legend=Legend(
            colours(SEQUENTIAL), "draws agree", "", f"sd {number(most)} {scene.unit}".strip(),
            "Black: the draws agree; bright: the model is unsure",
        ),
    )  # fmt: skip
