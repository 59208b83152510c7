"""How much of k-space a magnitude image was measured in: scanners interpolate, and interpolation is no data."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["cut_to_support", "spectral_edges"]

_FALL_DB = 5.0
_SMALLEST_EDGE = 0.3


def spectral_edges(stack: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Share of the Nyquist band that holds signal, along the last two axes of a stack (S, N1, N2).

    A zero-filled matrix shows as a step down in the power spectrum; natural images fall smoothly. The edge is
    the largest fall of at least 5 dB over 6 % of the band, beyond 0.3 Nyquist, after which power stays down;
    1.0 where there is none. Zero-filled input flatters reconstruction errors by 25 to 48 % (Shimron et al., PNAS
    119, e2117203119, 2022, doi 10.1073/pnas.2117203119).
    """
    window = np.hanning(stack.shape[1])[:, None] * np.hanning(stack.shape[2])[None]
    power = np.zeros(stack.shape[1:])
    for image in stack:
        power += np.abs(np.fft.fft2(image * window)) ** 2
    return _edge(power, 0), _edge(power, 1)


def cut_to_support(stack: npt.NDArray[np.float32], edges: tuple[float, float]) -> npt.NDArray[np.float32]:
    """Crop k-space of a magnitude stack (S, N1, N2) to the given shares of its band; values keep their scale.

    The result has an even number of voxels along each axis and no interpolated frequencies.
    """
    sizes = [
        size if edge >= 1 else max(2, 2 * round(size * edge / 2))
        for size, edge in zip(stack.shape[1:], edges, strict=True)
    ]
    if tuple(sizes) == stack.shape[1:]:
        return stack
    scale = sizes[0] * sizes[1] / (stack.shape[1] * stack.shape[2])
    cut = np.empty((stack.shape[0], *sizes), np.float32)
    for index, image in enumerate(stack):
        spectrum = np.fft.fftshift(np.fft.fft2(image))
        first = [size // 2 - new // 2 for size, new in zip(image.shape, sizes, strict=True)]
        inner = spectrum[first[0] : first[0] + sizes[0], first[1] : first[1] + sizes[1]]
        cut[index] = np.abs(np.fft.ifft2(np.fft.ifftshift(inner))) * scale
    return cut


def _edge(power: npt.NDArray[np.float64], axis: int) -> float:
    size = power.shape[axis]
    half = size // 2
    profile = np.log10(np.median(np.moveaxis(power, axis, 0), axis=1) + 1e-12) * 10
    folded = (profile[1:half] + profile[:-half:-1]) / 2
    step = max(2, round(0.06 * half))
    smooth = np.convolve(folded, np.ones(step) / step, mode="valid")
    falls = smooth[:-step] - smooth[step:]
    start = round(_SMALLEST_EDGE * half)
    if len(falls) <= start:
        return 1.0
    place = start + int(np.argmax(falls[start:]))
    after = smooth[place + step :]
    if falls[place] < _FALL_DB or after.max() > smooth[place] - _FALL_DB / 2:
        return 1.0
    return float(min(1.0, (place + step) / half))
