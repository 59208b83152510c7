"""A walk over the structure of a DICOM object that interprets nothing: depth, counts and lengths before parsing."""

from __future__ import annotations

import struct

from medsr.errors import Refusal
from medsr.settings import settings

__all__ = ["check_dicom"]

_LONG = {b"OB", b"OD", b"OF", b"OL", b"OW", b"OV", b"SQ", b"UC", b"UN", b"UR", b"UT", b"SV", b"UV"}
_KNOWN = _LONG | {
    b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS",
    b"ST", b"TM", b"UI", b"UL", b"US",
}  # fmt: skip
_UNDEFINED = 0xFFFFFFFF
_IMPLICIT, _DEFLATED, _BIG = b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.2"
_ELEMENTS = 1_000_000


def check_dicom(data: bytes, *, name: str) -> None:
    """Judge a Part 10 object.

    Raises
    ------
    Refusal : ``dicom.not_dicom``, ``dicom.truncated``, ``dicom.structure`` (depth, items, values, fragments),
        ``dicom.too_large`` (header), ``pixel.syntax`` (deflated, big endian).
    """
    if data[128:132] != b"DICM":
        raise Refusal("dicom.not_dicom", f"{name} has no DICOM preamble")
    try:
        position, syntax = _meta(data)
        if syntax in (_DEFLATED, _BIG):
            raise Refusal("pixel.syntax", f"{name} is deflated or big endian")
        _walk(data, position, explicit=syntax != _IMPLICIT, name=name)
    except struct.error as error:
        raise Refusal("dicom.truncated", f"{name} ends inside an element") from error


def _meta(data: bytes) -> tuple[int, bytes]:
    """End of the file meta group and the transfer syntax."""
    position, syntax = 132, _IMPLICIT
    while data[position : position + 2] == b"\x02\x00":
        start, length = _explicit_value(data, position)
        if start + length > len(data):
            raise struct.error
        if data[position + 2 : position + 4] == b"\x10\x00":
            syntax = data[start : start + length].rstrip(b"\0 ")
        position = start + length
    return position, syntax


def _explicit_value(data: bytes, position: int) -> tuple[int, int]:
    kind = data[position + 4 : position + 6]
    if kind in _LONG:
        return position + 12, struct.unpack_from("<I", data, position + 8)[0]
    return position + 8, struct.unpack_from("<H", data, position + 6)[0]


def _walk(data: bytes, position: int, *, explicit: bool, name: str) -> None:
    limits = settings()
    ends: list[int] = []
    items = elements = header = 0
    while position < len(data):
        while ends and position >= ends[-1]:
            ends.pop()
        group, element = struct.unpack_from("<HH", data, position)
        if group == 0xFFFE:
            length = struct.unpack_from("<I", data, position + 4)[0]
            position += 8
            if element == 0xE000:
                items += 1
                ends.append(len(data) if length == _UNDEFINED else position + length)
            elif ends:
                ends.pop()
            _check_counts(items, len(ends), elements, name)
            continue
        elements += 1
        kind, start, length = _value(data, position, explicit=explicit, name=name)
        if (group, element) == (0x7FE0, 0x0010) and not ends:
            _check_pixels(data, start, length, name)
            return
        if kind == b"SQ" or length == _UNDEFINED:
            ends.append(len(data) if length == _UNDEFINED else start + length)
            _check_counts(items, len(ends), elements, name)
            position = start
            continue
        if start + length > len(data):
            raise Refusal("dicom.truncated", f"{name}: element ({group:04X},{element:04X}) ends after the file")
        header += length
        if header > limits.max_header_bytes:
            raise Refusal("dicom.too_large", f"{name} has a header of more than {limits.max_header_bytes} bytes")
        if data.count(b"\\", start, start + length) > limits.max_dicom_values and kind not in (b"OB", b"OW", b"UN"):
            raise Refusal("dicom.structure", f"{name}: an element has more than {limits.max_dicom_values} values")
        position = start + length


def _value(data: bytes, position: int, *, explicit: bool, name: str) -> tuple[bytes, int, int]:
    if not explicit:
        return b"", position + 8, struct.unpack_from("<I", data, position + 4)[0]
    kind = data[position + 4 : position + 6]
    if kind not in _KNOWN:
        raise Refusal("dicom.structure", f"{name} has an element of unknown value representation")
    start, length = _explicit_value(data, position)
    return kind, start, length


def _check_counts(items: int, depth: int, elements: int, name: str) -> None:
    limits = settings()
    if items > limits.max_dicom_items or elements > _ELEMENTS:
        raise Refusal("dicom.structure", f"{name} has more than {limits.max_dicom_items} sequence items")
    if depth > 2 * limits.max_dicom_depth:
        raise Refusal("dicom.structure", f"{name} nests sequences deeper than {limits.max_dicom_depth}")


def _check_pixels(data: bytes, start: int, length: int, name: str) -> None:
    if length != _UNDEFINED:
        if start + length > len(data):
            raise Refusal("pixel.truncated", f"{name}: {length} bytes of pixels are stated, {len(data) - start} there")
        return
    fragments, position, limit = 0, start, settings().max_fragments_per_frame
    while position + 8 <= len(data) and data[position : position + 4] == b"\xfe\xff\x00\xe0":
        fragments += 1
        position += 8 + int(struct.unpack_from("<I", data, position + 4)[0])
        if fragments > limit + 1:
            raise Refusal("dicom.structure", f"{name} has more than {limit} fragments a frame")
        if position > len(data):
            raise Refusal("dicom.truncated", f"{name}: a fragment ends after the file")
