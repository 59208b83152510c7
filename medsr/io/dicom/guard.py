"""A walk over the structure of a DICOM object that interprets nothing: depth, counts and lengths before parsing."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pydicom._dicom_dict import DicomDictionary

from medsr.errors import Refusal
from medsr.settings import settings

__all__ = ["EXPLICIT", "IMPLICIT", "Structure", "check_dataset", "check_dicom"]

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
_REFUSED_SYNTAXES = {"1.2.840.10008.1.2.1.99": "deflated", "1.2.840.10008.1.2.2": "big endian"}
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OW", b"OV", b"SQ", b"UC", b"UN", b"UR", b"UT", b"SV", b"UV"}
_KNOWN = _LONG | {
    b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS",
    b"ST", b"TM", b"UI", b"UL", b"US",
}  # fmt: skip
_BINARY = {b"OB", b"OD", b"OF", b"OL", b"OW", b"OV", b"UN"}
_SEQUENCE_TAGS = frozenset(tag for tag, entry in DicomDictionary.items() if entry[0] == "SQ")
_UNDEFINED = 0xFFFFFFFF
_PIXELS, _FLOAT_PIXELS, _FRAMES = (0x7FE0, 0x0010), {(0x7FE0, 0x0008), (0x7FE0, 0x0009)}, (0x0028, 0x0008)
_ELEMENTS = 1_000_000


@dataclass(frozen=True, slots=True)
class Structure:
    """Where things are in an object.

    Parameters
    ----------
    syntax : transfer syntax UID.
    start, length : of the value of Pixel Data, in bytes; length 0 without pixels, -1 for encapsulated fragments.
    frames : the number of frames that the object states.
    """

    syntax: str
    start: int = 0
    length: int = 0
    frames: int = 1


def check_dicom(data: bytes, *, name: str) -> Structure:
    """Judge a Part 10 object.

    Raises
    ------
    Refusal : ``dicom.not_dicom``, ``dicom.truncated``, ``dicom.structure`` (depth, items, values, fragments),
        ``dicom.too_large`` (header), ``pixel.syntax`` (deflated, big endian), ``pixel.truncated``,
        ``pixel.format`` (floating point pixels).
    """
    if data[128:132] != b"DICM":
        raise Refusal("dicom.not_dicom", f"{name} has no DICOM preamble")
    try:
        position, syntax = _meta(data)
        if syntax in _REFUSED_SYNTAXES:
            raise Refusal("pixel.syntax", f"{name} is {_REFUSED_SYNTAXES[syntax]}")
        return _Walk(data, name).run(position, syntax)
    except struct.error as error:
        raise Refusal("dicom.truncated", f"{name} ends inside an element") from error


def check_dataset(data: bytes, *, name: str) -> None:
    """Judge a bare explicit VR little endian data set by the same rules.

    Raises
    ------
    Refusal : as :func:`check_dicom`.
    """
    try:
        _Walk(data, name).run(0, EXPLICIT)
    except struct.error as error:
        raise Refusal("dicom.truncated", f"{name} ends inside an element") from error


def _meta(data: bytes) -> tuple[int, str]:
    """End of the file meta group and the transfer syntax."""
    position, syntax = 132, IMPLICIT
    while data[position : position + 2] == b"\x02\x00":
        start, length = _explicit_value(data, position)
        if start + length > len(data):
            raise struct.error
        if data[position + 2 : position + 4] == b"\x10\x00":
            syntax = data[start : start + length].rstrip(b"\0 ").decode("ascii", "replace")
        position = start + length
    return position, syntax


def _explicit_value(data: bytes, position: int) -> tuple[int, int]:
    kind = data[position + 4 : position + 6]
    if kind in _LONG:
        return position + 12, struct.unpack_from("<I", data, position + 8)[0]
    return position + 8, struct.unpack_from("<H", data, position + 6)[0]


class _Walk:
    """One pass over the elements, with its counts.

    open holds the end of each open sequence and item, and whether its content is in explicit VR: a UN of undefined
    length holds implicit VR whatever the syntax says.
    """

    def __init__(self, data: bytes, name: str) -> None:
        self.data, self.name, self.limits = data, name, settings()
        self.open: list[tuple[int, bool]] = []
        self.items = self.elements = self.header_bytes = 0
        self.frames = 1

    def run(self, position: int, syntax: str) -> Structure:
        explicit = syntax != IMPLICIT
        while position < len(self.data):
            while self.open and position >= self.open[-1][0]:
                self.open.pop()
            group, element = struct.unpack_from("<HH", self.data, position)
            inside = self.open[-1][1] if self.open else explicit
            if group == 0xFFFE:
                position = self._item(position, element, explicit=inside)
                continue
            kind, start, length = self._value(position, group, element, explicit=inside)
            if not self.open and (group, element) == _PIXELS:
                return Structure(syntax, start, self._pixels(start, length), self.frames)
            if not self.open and (group, element) in _FLOAT_PIXELS:
                raise Refusal("pixel.format", f"{self.name} has floating point pixels")
            position = self._pass(kind, start, length, (group, element), explicit=inside)
        return Structure(syntax, frames=self.frames)

    def _item(self, position: int, element: int, *, explicit: bool) -> int:
        length = struct.unpack_from("<I", self.data, position + 4)[0]
        position += 8
        if element == 0xE000:
            self.items += 1
            self._push(position, length, explicit=explicit)
        elif self.open:
            self.open.pop()
        return position

    def _pass(self, kind: bytes, start: int, length: int, tag: tuple[int, int], *, explicit: bool) -> int:
        """The position after an element's header, for a sequence, or after its value."""
        number = (tag[0] << 16) | tag[1]
        if kind == b"SQ" or length == _UNDEFINED or (not explicit and number in _SEQUENCE_TAGS):
            self._push(start, length, explicit=explicit and kind != b"UN")
            return start
        end = start + length
        if end > len(self.data):
            fact = f"{self.name}: element ({tag[0]:04X},{tag[1]:04X}) ends after the file"
            raise Refusal("dicom.truncated", fact)
        if tag == _FRAMES and not self.open and length <= 12:
            text = self.data[start:end].strip(b" \0")
            self.frames = max(1, int(text)) if text.isdigit() else 1
        self.header_bytes += length
        if self.header_bytes > self.limits.max_header_bytes:
            raise Refusal("dicom.too_large", f"{self.name} has a header of over {self.limits.max_header_bytes} bytes")
        if kind not in _BINARY and self.data.count(b"\\", start, end) > self.limits.max_dicom_values:
            raise Refusal("dicom.structure", f"{self.name}: an element has over {self.limits.max_dicom_values} values")
        return end

    def _push(self, start: int, length: int, *, explicit: bool) -> None:
        self.open.append((len(self.data) if length == _UNDEFINED else start + length, explicit))
        if self.items > self.limits.max_dicom_items:
            raise Refusal("dicom.structure", f"{self.name} has over {self.limits.max_dicom_items} sequence items")
        if len(self.open) > 2 * self.limits.max_dicom_depth:
            fact = f"{self.name} nests sequences deeper than {self.limits.max_dicom_depth}"
            raise Refusal("dicom.structure", fact)

    def _value(self, position: int, group: int, element: int, *, explicit: bool) -> tuple[bytes, int, int]:
        self.elements += 1
        if self.elements > _ELEMENTS:
            raise Refusal("dicom.structure", f"{self.name} has over {_ELEMENTS} elements")
        if not explicit:
            return b"", position + 8, struct.unpack_from("<I", self.data, position + 4)[0]
        kind = self.data[position + 4 : position + 6]
        if kind not in _KNOWN:
            fact = f"{self.name}: element ({group:04X},{element:04X}) has an unknown value representation"
            raise Refusal("dicom.structure", fact)
        start, length = _explicit_value(self.data, position)
        return kind, start, length

    def _pixels(self, start: int, length: int) -> int:
        """Bytes of native pixels, or -1 for fragments, which are counted and must lie within the file."""
        if length != _UNDEFINED:
            there = len(self.data) - start
            if length > there:
                raise Refusal("pixel.truncated", f"{self.name}: {length} bytes of pixels are stated, {there} there")
            return length
        fragments, position = 0, start
        most = self.limits.max_fragments_per_frame * self.frames + 1
        while position + 8 <= len(self.data) and self.data[position : position + 4] == b"\xfe\xff\x00\xe0":
            fragments += 1
            position += 8 + int(struct.unpack_from("<I", self.data, position + 4)[0])
            if fragments > most:
                fact = f"{self.name} has over {self.limits.max_fragments_per_frame} fragments a frame"
                raise Refusal("dicom.structure", fact)
            if position > len(self.data):
                raise Refusal("pixel.truncated", f"{self.name}: a pixel fragment ends after the file")
        return -1
