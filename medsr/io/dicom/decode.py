"""Pixels of one frame, by named decoders of permissive licence.

pydicom would choose a decoder at run time and silently take a GPL one (pylibjpeg-libjpeg) where it is installed, so
the decoders stand here by name. None of them survives hostile bytes: this runs in the reader child.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.pixels.decoders.base import get_decoder

from medsr.errors import MissingExtra, Refusal
from medsr.io.dicom.codestream import check_codestream
from medsr.io.dicom.guard import EXPLICIT, IMPLICIT

__all__ = ["NATIVE", "PlaneFormat", "decode", "known_syntax", "stored_values"]

NATIVE = frozenset({IMPLICIT, EXPLICIT})
_RLE = "1.2.840.10008.1.2.5"


@dataclass(frozen=True, slots=True)
class PlaneFormat:
    """How one frame is stored: its size in pixels, its bits and sign."""

    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    signed: bool

    @property
    def size(self) -> int:
        """Bytes of a native frame."""
        return self.rows * self.columns * self.bits_allocated // 8


def decode(frame: bytes, syntax: str, form: PlaneFormat, *, name: str) -> npt.NDArray[np.int32]:
    """Stored values (rows, columns) of one frame.

    Raises
    ------
    Refusal : ``pixel.syntax``, ``pixel.truncated``, ``pixel.codestream``, ``pixel.broken``.
    MissingExtra : ``pixel.decoder``, if the decoder is not installed.
    """
    if syntax in NATIVE:
        if len(frame) < form.size:
            raise Refusal("pixel.truncated", f"{name} has {len(frame)} bytes of pixels, {form.size} are needed")
        plain = np.frombuffer(frame, np.uint8 if form.bits_allocated == 8 else "<u2", form.rows * form.columns)
        return stored_values(plain.reshape(form.rows, form.columns), form)
    if not known_syntax(syntax):
        raise Refusal("pixel.syntax", f"{name} is in transfer syntax {syntax[:64]}, which medsr does not read")
    kind, decoder = _DECODERS[syntax]
    if kind:
        check_codestream(
            frame, rows=form.rows, columns=form.columns, bits=form.bits_allocated, kind=kind, name=name
        )  # fmt: skip
    try:
        coded = decoder(frame, form)
    except ModuleNotFoundError as error:
        raise MissingExtra("pixel.decoder", f"{name} is compressed and {error.name} is not installed") from error
    except MemoryError:
        raise
    except BaseException as error:  # decoders in Rust panic past Exception
        raise Refusal("pixel.broken", f"the pixels of {name} cannot be decoded") from error
    if coded.shape != (form.rows, form.columns) or coded.dtype.kind not in "iu" or coded.dtype.itemsize > 4:
        raise Refusal("pixel.broken", f"{name} decodes to {coded.shape} of {coded.dtype}")
    return stored_values(coded, form)


def known_syntax(syntax: str) -> bool:
    """True for the transfer syntaxes that medsr reads."""
    return syntax in NATIVE or syntax in _DECODERS


def stored_values(coded: npt.NDArray[np.integer], form: PlaneFormat) -> npt.NDArray[np.int32]:
    """The lowest `bits_stored` bits, with their sign: overlays or rubbish may stand above them."""
    masked = coded.astype(np.int32) & ((1 << form.bits_stored) - 1)
    if form.signed:
        half = 1 << (form.bits_stored - 1)
        masked = (masked ^ half) - half
    return masked


def _rle(frame: bytes, form: PlaneFormat) -> npt.NDArray[np.integer]:
    from pydicom.encaps import encapsulate

    facts: dict[str, Any] = {
        "rows": form.rows, "columns": form.columns, "samples_per_pixel": 1, "number_of_frames": 1,
        "photometric_interpretation": "MONOCHROME2", "bits_allocated": form.bits_allocated,
        "bits_stored": form.bits_stored, "pixel_representation": 0, "pixel_keyword": "PixelData",
    }  # fmt: skip
    array, _ = get_decoder(_RLE).as_array(
        encapsulate([frame], has_bot=False), index=0, raw=True, decoding_plugin="pydicom", **facts
    )
    return np.asarray(array)


def _jpeg_ls(frame: bytes, form: PlaneFormat) -> npt.NDArray[np.integer]:
    import jpeg_ls

    buffer, info = jpeg_ls.decode_pixel_data(frame)
    plain = np.frombuffer(buffer, np.uint8) if info["bits_per_sample"] <= 8 else np.frombuffer(buffer, np.uint16)
    return plain.reshape(form.rows, form.columns)


def _jpeg_lossless(frame: bytes, _form: PlaneFormat) -> npt.NDArray[np.integer]:
    import imagecodecs

    return np.asarray(imagecodecs.jpegsof3_decode(frame))


def _jpeg_extended(frame: bytes, _form: PlaneFormat) -> npt.NDArray[np.integer]:
    import imagecodecs

    return np.asarray(imagecodecs.jpeg8_decode(frame))


def _jpeg_2000(frame: bytes, _form: PlaneFormat) -> npt.NDArray[np.integer]:
    import imagecodecs

    return np.asarray(imagecodecs.jpeg2k_decode(frame, numthreads=1))


_Decoder = Callable[[bytes, PlaneFormat], npt.NDArray[np.integer]]
_DECODERS: dict[str, tuple[str, _Decoder]] = {
    _RLE: ("", _rle),
    "1.2.840.10008.1.2.4.51": ("jpeg", _jpeg_extended),
    "1.2.840.10008.1.2.4.57": ("lossless", _jpeg_lossless),
    "1.2.840.10008.1.2.4.70": ("lossless", _jpeg_lossless),
    "1.2.840.10008.1.2.4.80": ("jpegls", _jpeg_ls),
    "1.2.840.10008.1.2.4.81": ("jpegls", _jpeg_ls),
    "1.2.840.10008.1.2.4.90": ("j2k", _jpeg_2000),
    "1.2.840.10008.1.2.4.91": ("j2k", _jpeg_2000),
    "1.2.840.10008.1.2.4.201": ("j2k", _jpeg_2000),
    "1.2.840.10008.1.2.4.202": ("j2k", _jpeg_2000),
}
"""Transfer syntax: the kind of codestream that it promises, and the decoder. docs/dicom.md lists them."""
