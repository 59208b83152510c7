"""The channels of the gate in plain words, for readers who do not know their letters."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from medsr.records import ChannelStatus

__all__ = ["STATUS_TITLES", "channel_title"]

STATUS_TITLES: Mapping[ChannelStatus, str] = MappingProxyType(
    {"passed": "within its limit", "held": "beyond its limit", "not_assessed": "not assessed"}
)

_WRITTEN = "w"
_TITLES: Mapping[str, str] = MappingProxyType(
    {
        "R1": "agreement with the scan as a whole",
        "R2": "agreement with the scan, window by window",
        "R3": "does the scan behave as the operator says",
        "R4": "search for added or omitted structures",
        "R5": "edges moved or smoothed away",
        "R6": "texture against the noise of the scan",
        "R7": "structure left in the residual",
        "R8": "agreement with an independent measurement",
        "R9": "smallest lesion kept, by a probe",
        "N1": "how much the model supplied",
        "N2": "spread of repeated draws",
        "N3": "agreement of two model families",
        "N4": "is the scan of the kind that the model was made for",
        "N5": "hidden slices predicted again",
        "F0": "does the image lie where its reference lies",
        "F1": "tiles that decorrelate from the reference (sFRC)",
        "F2": "local structural similarity to the reference",
        "F3": "local correlation with the reference",
        "F4": "perceptual similarity to the reference (HaarPSI)",
        "F5": "error against the reference in what was measured",
        "F6": "error against the reference in what the model supplied",
        "F7": "contrast of the reference that the image shows",
        "F8": "noise power against the reference",
        "F9": "finest detail that correlates with the reference",
        "F10": "brightness of flat tissue against the reference",
    }
)


def channel_title(name: str) -> str:
    """What a channel asks; an unknown name stands for itself.

    >>> channel_title("R4"), channel_title("R1w"), channel_title("Z9")
    ('search for added or omitted structures', 'agreement with the scan as a whole, on the written pixels', 'Z9')
    """
    if name in _TITLES:
        return _TITLES[name]
    stem = name.removesuffix(_WRITTEN)
    return f"{_TITLES[stem]}, on the written pixels" if stem in _TITLES else name
