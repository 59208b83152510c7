"""multipart/related, taken apart at every possible cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medsr.service.api.multipart import boundary_of, parts
from medsr.service.api.problem import Problem

BOUNDARY = "b0undary"
NEARLY = [b"\r\n", b"--b0undary", b"\r\n--b0undar", b"--"]


def body_of(payloads: list[bytes], *, preamble: bytes = b"", epilogue: bytes = b"") -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    first = preamble + (b"\r\n" if preamble else b"")
    return first + b"\r\n".join(head + one for one in payloads) + f"\r\n--{BOUNDARY}--\r\n".encode() + epilogue


async def pieces_of(data: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def taken(data: bytes, size: int) -> list[tuple[str, bytes]]:
    async def all_of_them() -> list[tuple[str, bytes]]:
        return [
            (part.media_type, b"".join([piece async for piece in part.body]))
            async for part in parts(pieces_of(data, size), BOUNDARY.encode())
        ]

    return asyncio.run(all_of_them())


@given(
    payloads=st.lists(st.binary(max_size=200) | st.sampled_from(NEARLY), min_size=1, max_size=5),
    size=st.integers(1, 300),
)  # fmt: skip
def test_parts_come_out_as_they_went_in_wherever_the_body_is_cut(payloads: list[bytes], size: int) -> None:
    delimiter = f"\r\n--{BOUNDARY}".encode()
    if any(delimiter in b"\r\n" + one for one in payloads):
        return  # not a body that may be written with this boundary
    assert taken(body_of(payloads), size) == [("application/dicom", one) for one in payloads]


def test_preamble_and_epilogue_mean_nothing() -> None:
    assert taken(body_of([b"abc"], preamble=b"hello", epilogue=b"bye"), 7) == [("application/dicom", b"abc")]


def test_unread_parts_are_passed_over() -> None:
    async def types() -> list[str]:
        return [part.media_type async for part in parts(pieces_of(body_of([b"a" * 999, b"b"]), 64), BOUNDARY.encode())]

    assert asyncio.run(types()) == ["application/dicom"] * 2


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no boundary at all",
        body_of([b"abc"])[:-12],
        f"--{BOUNDARY}\r\nContent-Type: x".encode() + b"y" * 20_000,
        f"--{BOUNDARY}{'x' * 20_000}".encode(),
    ],
    ids=["empty", "none", "cut", "endless header", "endless delimiter"],
)
def test_a28_a_body_that_is_not_whole_is_refused_in_bounded_memory(data: bytes) -> None:
    with pytest.raises(Problem) as caught:
        taken(data, 512)
    assert (caught.value.status_code, caught.value.code) == (400, "studies.multipart")


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data; boundary=x",
        "multipart/related",
        "multipart/related; boundary=",
        'multipart/related; boundary="a\tb"',
        f"multipart/related; boundary={'x' * 71}",
        'multipart/related; type="application/dicom+xml"; boundary=x',
        "application/dicom",
    ],
)
def test_only_dicom_in_multipart_related_is_taken(content_type: str) -> None:
    with pytest.raises(Problem) as caught:
        boundary_of(content_type)
    assert (caught.value.status_code, caught.value.code) == (415, "studies.media_type")


def test_a_quoted_boundary_is_read() -> None:
    assert boundary_of('multipart/related; type="application/dicom"; boundary="a b"') == b"a b"
