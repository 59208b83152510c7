"""The closed record of a DICOM volume that leaves the reader child."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from medsr.io.dicom.frames import CLASSES, Frame, number_of, text_of
from medsr.io.dicom.padding import padding_range
from medsr.io.dicom.split import Stack
from medsr.io.dicom.stack import Grid
from medsr.io.text import shown

__all__ = ["acquisition_record", "volume_record"]

_NUMBERS = {
    "field_strength_t": "MagneticFieldStrength", "echo_time_ms": "EchoTime", "repetition_time_ms": "RepetitionTime",
    "tube_voltage_kv": "KVP", "exposure_mas": "Exposure", "lossy_ratio": "LossyImageCompressionRatio",
}  # fmt: skip
_TEXTS = {
    "manufacturer": "Manufacturer", "model": "ManufacturerModelName", "body_part": "BodyPartExamined",
    "kernel": "ConvolutionKernel",
}  # fmt: skip
_LOSSY_SYNTAXES = {"1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81"}


def volume_record(
    stack: Stack, grid: Grid, hashes: dict[str, str], *, kind: str, name: str, notes: Sequence[str], lossy: bool
) -> dict[str, object]:
    """All that the asking process learns of a volume, but for its voxels and the headers to copy."""
    first, geometry = grid.frames[0], grid.geometry
    acquisition = acquisition_record(grid.frames)
    acquisition["lossy"] = lossy or acquisition["lossy"]
    return {
        "shape": list(geometry.shape),
        "affine": geometry.world_from_voxel.ravel().tolist(),
        "slice_axis": geometry.slice_axis,
        "slice_thickness_mm": geometry.slice_thickness_mm,
        "modality": kind,
        "provenance": "header",
        "degradation": _slice_mask(grid) if grid.missing else None,
        "notes": [*notes, *_notes(first, kind=kind, lossy=bool(acquisition["lossy"]), missing=grid.missing)],
        "acquisition": acquisition,
        "source": {
            "format": "dicom",
            "name": shown(name, longest=200),
            "sha256": _digest(grid.frames),
            "integer": _whole(grid.frames),
            "study_uid": text_of(first.get("StudyInstanceUID")),
            "series_uid": stack.series_uid,
            "frame_of_reference_uid": text_of(first.get("FrameOfReferenceUID")),
            "series_number": int(min(max(number_of(first.get("SeriesNumber")) or 0, 0), 1e6)),
            "missing": list(grid.missing),
            "monochrome1": text_of(first.get("PhotometricInterpretation")) == "MONOCHROME1",
            **_stored_form(grid.frames),
            "slices": [
                {
                    "sop_class_uid": frame.instance.sop_class,
                    "sop_instance_uid": text_of(frame.instance.header.get("SOPInstanceUID")),
                    "frame": frame.number,
                    "canonical_sha256": hashes[text_of(frame.instance.header.get("SOPInstanceUID"))],
                    "index": index,
                }
                for frame, index in zip(grid.frames, grid.indices, strict=True)
            ],
        },
    }


def acquisition_record(frames: Sequence[Frame]) -> dict[str, object]:
    """How the scan was made, from its first slice; lossy if any slice is."""
    first = frames[0]
    texts = {key: shown(text_of(first.get(keyword))) or None for key, keyword in _TEXTS.items()}
    numbers = {key: number_of(text_of(first.get(keyword)) or None) for key, keyword in _NUMBERS.items()}
    lossy = any(
        text_of(frame.get("LossyImageCompression")) == "01" or frame.instance.structure.syntax in _LOSSY_SYNTAXES
        for frame in frames
    )
    return {**texts, **numbers, "lossy": lossy}


def _digest(frames: Sequence[Frame]) -> str:
    hashes = sorted({frame.instance.sha256 for frame in frames})
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def _whole(frames: Sequence[Frame]) -> bool:
    return all(abs(frame.slope) == 1.0 and frame.intercept.is_integer() for frame in frames)


def _stored_form(frames: Sequence[Frame]) -> dict[str, object]:
    """Bits, sign, rescale and padding value, with 0 bits where slices differ in them."""
    first = frames[0]
    forms = {(frame.form, frame.slope, frame.intercept) for frame in frames}
    lowest, highest = padding_range(first)
    paddings = {padding_range(frame) for frame in frames}
    return {
        "dtype": f"{'int' if first.form.signed else 'uint'}{first.form.bits_allocated}",
        "bits_stored": first.form.bits_stored if len(forms) == 1 else 0,
        "signed": first.form.signed,
        "slope": first.slope,
        "intercept": first.intercept,
        "padding_value": lowest if len(paddings) == 1 and lowest <= highest else None,
    }


def _slice_mask(grid: Grid) -> dict[str, object]:
    """The operator record of lost slices, as restore reads it from a sidecar."""
    parameters = {
        "shape": list(grid.geometry.shape), "kept": list(grid.indices), "slice_axis": grid.geometry.slice_axis,
    }  # fmt: skip
    return {
        "operator": {"kind": "slice_mask", "parameters": parameters, "noise": {"model": "none"}, "provenance": "header"}
    }


def _notes(first: Frame, *, kind: str, lossy: bool, missing: tuple[int, ...]) -> list[str]:
    notes = []
    if text_of(first.get("PhotometricInterpretation")) == "MONOCHROME1":
        notes.append("MONOCHROME1 inverted")
    rescale_type = text_of(first.get("RescaleType"))
    if kind == "CT" and rescale_type not in ("", "HU"):
        notes.append(f"values are said to be {shown(rescale_type)}, not HU")
    if lossy:
        notes.append("the source was compressed with loss")
    if missing:
        notes.append(f"slices {', '.join(str(index + 1) for index in missing[:16])} are missing and blank")
    if CLASSES[first.instance.sop_class][1]:
        notes.append("multi-frame object")
    return notes
