"""Stored values that stand for "not measured"."""

from __future__ import annotations

from medsr.io.dicom.frames import Frame

__all__ = ["padding_range"]


def padding_range(frame: Frame) -> tuple[int, int]:
    """Stored values that mean "not measured", as an inclusive range; empty where the header names none."""
    ends = []
    for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
        value = frame.get(keyword)
        if isinstance(value, int):
            signed = value - (1 << 16) if frame.form.signed and value >= 1 << 15 else value
            ends.append(signed if frame.form.signed or value >= 0 else value + (1 << 16))
    return (min(ends), max(ends)) if ends else (1, 0)
