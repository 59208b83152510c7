"""What a compressed frame says of itself, read from its first marker segments without decoding.

A codestream that claims another size than Rows and Columns costs decoders seconds and gigabytes (4.05 s against
0.07 s for JPEG 2000 mutants), so it is refused before any of them sees it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from medsr.errors import Refusal

__all__ = ["Codestream", "check_codestream", "is_lossy", "parse_codestream"]

_SIZ, _CAP = 0xFF51, 0xFF50
_FRAMES_OF_JPEG = {0xC0, 0xC1, 0xC3, 0xF7}
_OTHER_FRAMES = {0xC2, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_STANDALONE = {0x01, *range(0xD0, 0xD9)}
_LARGEST_TILES = 4096
_END = b"\xff\xd9"
"""End of image. CharLS waits for ever on a JPEG-LS codestream that lacks it."""
_CODING_STYLE, _TRANSFORMATION = b"\xff\x52", 13
_SCAN, _NEAR = b"\xff\xda\x00\x08\x01", 7
"""Markers of coding style (JPEG 2000) and of a scan of one component (JPEG-LS), and where their facts lie."""
_JP2_BOX = b"\x00\x00\x00\x0cjP  "
_JP2_HEADER_BYTES = 1 << 12


@dataclass(frozen=True, slots=True)
class Codestream:
    """Size in pixels, components, bits a sample, and how it is coded: ``jpeg``, ``lossless``, ``jpegls``, ``j2k``."""

    rows: int
    columns: int
    components: int
    bits: int
    kind: str


def check_codestream(frame: bytes, *, rows: int, columns: int, bits: int, kind: str, name: str) -> None:
    """Hold a frame's own size against the header's.

    Raises
    ------
    Refusal : ``pixel.codestream``, if it is no such codestream, of another size, of several components, or deeper
        than the `bits` allocated.
    """
    found = parse_codestream(frame)
    if found is None or found.kind != kind:
        raise Refusal("pixel.codestream", f"{name} holds no {kind} codestream, though its transfer syntax says so")
    if kind == "jpegls" and not frame.rstrip(b"\0").endswith(_END):
        raise Refusal("pixel.codestream", f"{name} holds a JPEG-LS codestream that is cut short")
    if (found.rows, found.columns) != (rows, columns):
        fact = f"{name}: the codestream is {found.columns} x {found.rows}, the header says {columns} x {rows}"
        raise Refusal("pixel.codestream", fact)
    if found.components != 1 or not 2 <= found.bits <= bits:
        fact = f"{name}: the codestream has {found.components} components of {found.bits} bits"
        raise Refusal("pixel.codestream", fact)


def parse_codestream(frame: bytes) -> Codestream | None:
    """The sizes in a JPEG, JPEG-LS or JPEG 2000 codestream, or None where there are none."""
    try:
        if frame[:2] == b"\xff\xd8":
            return _jpeg(frame)
        if frame[:8] == _JP2_BOX:
            place = frame.find(b"\xff\x4f\xff\x51", 0, _JP2_HEADER_BYTES)
            return _jpeg_2000(frame[place:]) if place > 0 else None
        return _jpeg_2000(frame)
    except struct.error:
        return None


def is_lossy(frame: bytes) -> bool:
    """True for a codestream that lost something when it was made, whatever its header says.

    JPEG with a DCT, JPEG-LS with an error bound, JPEG 2000 with the irreversible 9-7 wavelet.
    """
    found = parse_codestream(frame)
    if found is None:
        return False
    if found.kind == "j2k":
        place = frame.find(_CODING_STYLE, 0, _JP2_HEADER_BYTES)
        return place > 0 and frame[place + _TRANSFORMATION : place + _TRANSFORMATION + 1] == b"\0"
    if found.kind == "jpegls":
        place = frame.find(_SCAN, 0, _JP2_HEADER_BYTES)
        return place > 0 and frame[place + _NEAR : place + _NEAR + 1] > b"\0"
    return found.kind == "jpeg"


def _jpeg(frame: bytes) -> Codestream | None:
    position = 2
    while position + 4 <= len(frame):
        if frame[position] != 0xFF:
            return None
        marker = frame[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker in _STANDALONE:
            position += 2
            continue
        length = struct.unpack_from(">H", frame, position + 2)[0]
        if marker in _FRAMES_OF_JPEG:
            bits, rows, columns, components = struct.unpack_from(">BHHB", frame, position + 4)
            kind = {0xC3: "lossless", 0xF7: "jpegls"}.get(marker, "jpeg")
            return Codestream(rows, columns, components, bits, kind)
        if marker in _OTHER_FRAMES or marker == 0xDA or length < 2:
            return None
        position += 2 + length
    return None


def _jpeg_2000(frame: bytes) -> Codestream | None:
    start, siz = struct.unpack_from(">HH", frame, 0)
    if (start, siz) != (0xFF4F, _SIZ):
        return None
    _length, _profile, width, height, left, top, tile_w, tile_h, tile_x, tile_y, components = struct.unpack_from(
        ">HHIIIIIIIIH", frame, 4
    )
    bits, step_x, step_y = struct.unpack_from(">BBB", frame, 42)
    if not tile_w or not tile_h or (step_x, step_y) != (1, 1) or tile_x > left or tile_y > top:
        return None
    tiles = -(-(width - tile_x) // tile_w) * -(-(height - tile_y) // tile_h)
    if not 1 <= tiles <= _LARGEST_TILES:
        return None
    return Codestream(height - top, width - left, components, (bits & 0x7F) + 1, "j2k")
