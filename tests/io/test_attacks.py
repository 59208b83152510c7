"""Attacks A5 to A17 on the DICOM reader.

A1 to A4 are in test_nifti_read.py, dying decoders (A10) in test_reader_child.py.
"""

from __future__ import annotations

import random
import struct
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from support.dicom import image, save, series, stored_planes

from medsr.errors import MedsrError, Refusal
from medsr.io import describe, read
from medsr.io.dicom.codestream import parse_codestream
from medsr.io.dicom.files import Item, items_of
from medsr.io.dicom.frames import frames_of, open_instance
from medsr.io.dicom.guard import check_dicom
from medsr.io.dicom.read import _decoded
from medsr.io.text import shown

SECONDS = 5.0
HEAD = bytes(128) + b"DICM"


def refusal(path: Path) -> MedsrError:
    started = time.monotonic()
    with pytest.raises(MedsrError) as caught:
        read(path)
    assert time.monotonic() - started < SECONDS
    return caught.value


def meta(syntax: str = "1.2.840.10008.1.2.1") -> bytes:
    text = syntax.encode() + b"\0" * (len(syntax) % 2)
    element = struct.pack("<HH2sH", 2, 0x10, b"UI", len(text)) + text
    return HEAD + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(element)) + element


def sequence(depth: int, *, defined: bool) -> bytes:
    """(0008,1140) nested in itself."""
    inner = b""
    for _ in range(depth):
        if defined:
            item = struct.pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner
            inner = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, len(item)) + item
        else:
            item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + inner + struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
            inner = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF) + item
            inner += struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return inner


def implicit_sequence(depth: int) -> bytes:
    inner = b""
    for _ in range(depth):
        item = struct.pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner
        inner = struct.pack("<HHI", 0x0008, 0x1140, len(item)) + item
    return inner


def test_a05_a_deflated_object_is_refused_without_inflating_it(tmp_path: Path) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = b"".join(packer.compress(bytes(1 << 20)) for _ in range(256)) + packer.flush()
    path = tmp_path / "bomb.dcm"
    path.write_bytes(meta("1.2.840.10008.1.2.1.99") + body)
    assert refusal(path).code == "pixel.syntax"


@pytest.mark.parametrize("defined", [True, False])
@pytest.mark.parametrize("depth", [60, 3000])
def test_a06_deep_nesting_is_refused_before_parsing(tmp_path: Path, depth: int, defined: bool) -> None:
    path = tmp_path / "deep.dcm"
    path.write_bytes(meta() + sequence(depth, defined=defined))
    assert refusal(path).code == "dicom.structure"


def test_a06_deep_nesting_in_implicit_vr_and_in_unknown_vr(tmp_path: Path) -> None:
    path = tmp_path / "deep.dcm"
    path.write_bytes(meta("1.2.840.10008.1.2") + implicit_sequence(60))
    assert refusal(path).code == "dicom.structure"
    hidden = struct.pack("<HH2sHI", 0x0009, 0x1001, b"UN", 0, 0xFFFFFFFF) + b"".join(
        struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + struct.pack("<HHI", 0x0008, 0x1140, 0xFFFFFFFF)
        for _ in range(60)
    )
    path.write_bytes(meta() + hidden)
    assert refusal(path).code == "dicom.structure"


def test_a07_many_empty_items_are_refused(tmp_path: Path) -> None:
    items = struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 400_000
    path = tmp_path / "items.dcm"
    path.write_bytes(meta() + struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, len(items)) + items)
    assert refusal(path).code == "dicom.structure"


def test_a07_many_values_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "values.dcm"
    path.write_bytes(meta() + struct.pack("<HH2sHI", 0x0008, 0x0119, b"UC", 0, 4_000_000) + b"1\\" * 2_000_000)
    assert refusal(path).code == "dicom.structure"


def test_a07_a_header_over_its_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "header.dcm"
    path.write_bytes(meta() + struct.pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, 65 << 20) + bytes(65 << 20))
    assert refusal(path).code == "dicom.too_large"


def test_a08_many_empty_fragments_are_refused(tmp_path: Path) -> None:
    data = image()
    data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.80"
    data.PixelData = encapsulate([b"\xff\xd8"])
    data["PixelData"].is_undefined_length = True
    path = save(tmp_path / "fragments.dcm", data)
    empty = struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    path.write_bytes(path.read_bytes().removesuffix(end) + empty * 1_000_000 + end)
    assert refusal(path).code == "dicom.structure"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Rows": 65535, "Columns": 65535}, "volume.too_large"),
        ({"Rows": 4096, "Columns": 4096}, "pixel.truncated"),
        ({"NumberOfFrames": 2_000_000_000}, "pixel.format"),
    ],
)
def test_a09_pixels_that_are_claimed_but_not_there(tmp_path: Path, changes: dict[str, int], code: str) -> None:
    data = image()
    for keyword, value in changes.items():
        setattr(data, keyword, value)
    assert refusal(save(tmp_path / "claim.dcm", data)).code == code


def coded(syntax: str) -> tuple[Dataset, bytes]:
    """A compressed slice, and its one frame."""
    import imagecodecs
    import jpeg_ls

    plane = stored_planes(1, 64, 64)[0]
    if syntax.endswith((".80", ".81")):
        frame = bytes(jpeg_ls.encode_array(plane))
    elif syntax.endswith(".51"):
        frame = imagecodecs.jpeg8_encode(plane, bitspersample=12)
    elif syntax.endswith((".57", ".70")):
        frame = imagecodecs.ljpeg_encode(plane, bitspersample=12)
    else:
        frame = imagecodecs.jpeg2k_encode(plane, reversible=True, codecformat="j2k")
    data = image(pixels=plane)
    data.file_meta.TransferSyntaxUID = syntax
    data.PixelData = encapsulate([frame])
    data["PixelData"].VR = "OB"
    data["PixelData"].is_undefined_length = True
    return data, frame


SYNTAXES = [f"1.2.840.10008.1.2.4.{number}" for number in (51, 70, 80, 90)]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a10_a_codestream_of_another_size_never_meets_its_decoder(tmp_path: Path, syntax: str) -> None:
    data, frame = coded(syntax)
    assert read(save(tmp_path / "sound.dcm", data)).geometry.shape == (64, 64, 1)
    found = parse_codestream(frame)
    assert found is not None
    assert (found.rows, found.columns, found.components) == (64, 64, 1)
    data.Rows = 32
    error = refusal(save(tmp_path / "other.dcm", data))
    assert error.code == "pixel.codestream"
    assert "64 x 64" in error.fact


def test_a10_many_tiles_are_no_codestream() -> None:
    _, frame = coded(SYNTAXES[3])
    tiled = bytearray(frame)
    struct.pack_into(">II", tiled, 24, 1, 1)
    struct.pack_into(">II", tiled, 8, 4096, 4096)
    assert parse_codestream(bytes(tiled)) is None


def test_a10_no_gpl_decoder_is_used_or_needed() -> None:
    """pydicom would take pylibjpeg-libjpeg (GPL-3) silently, and GDCM dies on hostile bytes."""
    import importlib.util

    for name in ("libjpeg", "pylibjpeg", "gdcm"):
        assert importlib.util.find_spec(name) is None, f"{name} is installed"


def test_a11_bytes_that_change_between_header_and_pixels_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.dcm", image())
    instance = open_instance(Item("a.dcm", path))
    frames = list(frames_of(instance))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(Refusal) as caught:
        list(_decoded(instance, frames))
    assert caught.value.code == "io.changed"


def test_a12_a_program_in_the_preamble_is_read_as_nothing(tmp_path: Path) -> None:
    """CVE-2019-11687: that it never comes out again is test_write_dicom.py's."""
    path = save(tmp_path / "a.dcm", image())
    path.write_bytes(b"MZ" + bytes(126) + path.read_bytes()[128:])
    assert read(path).geometry.shape == (20, 16, 1)


def central(name: bytes, *, packed: int, size: int, crc: int, offset: int = 0, mode: int = 0, flags: int = 0) -> bytes:
    return (
        struct.pack("<4s6H3L", b"PK\1\2", 20, 20, flags, 8, 0, 0, crc, packed, size)
        + struct.pack("<5H2L", len(name), 0, 0, 0, 0, mode << 16, offset)
        + name
    )  # fmt: skip


def local(name: bytes, body: bytes, *, size: int, crc: int) -> bytes:
    return struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 0, crc, len(body), size, len(name), 0) + name + body


def archive(path: Path, body: bytes, entries: list[bytes]) -> Path:
    table = b"".join(entries)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, len(entries), len(entries), len(table), len(body), 0)
    path.write_bytes(body + table + end)
    return path


def deflated(size: int) -> tuple[bytes, int]:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(bytes(size)) + packer.flush(), zlib.crc32(bytes(size))


def test_a13_entries_that_share_bytes_are_refused(tmp_path: Path) -> None:
    body, crc = deflated(1 << 26)
    shared = local(b"a.dcm", body, size=1 << 26, crc=crc)
    entries = [central(b"a.dcm", packed=len(body), size=1 << 26, crc=crc)] * 2000
    assert refusal(archive(tmp_path / "overlap.zip", shared, entries)).code == "zip.overlap"


def test_a13_an_entry_that_lies_about_its_size_yields_no_more_than_it_says(tmp_path: Path) -> None:
    body, crc = deflated(1 << 26)
    lying = local(b"a.dcm", body, size=10, crc=crc)
    entry = central(b"a.dcm", packed=len(body), size=10, crc=zlib.crc32(bytes(10)))
    assert refusal(archive(tmp_path / "lie.zip", lying, [entry])).code == "dicom.not_dicom"
    item = items_of([tmp_path / "lie.zip"])[0]
    assert item.read() == bytes(10)


def test_a13_archives_over_their_limits_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as packed:
        for index in range(20_001):
            packed.writestr(str(index), b"")
    assert refusal(tmp_path / "many.zip").code == "zip.too_many"
    body, crc = deflated(1000)
    entries = [
        central(b"a", packed=len(body), size=0xF0000000, crc=crc, offset=index * (31 + len(body))) for index in range(3)
    ]
    assert (
        refusal(archive(tmp_path / "big.zip", local(b"a", body, size=1000, crc=crc) * 3, entries)).code
        == "zip.inflates"
    )


def test_a13_links_encryption_and_other_methods_are_refused(tmp_path: Path) -> None:
    body, crc = deflated(100)
    start = local(b"a", body, size=100, crc=crc)
    for extra in ({"mode": 0o120777}, {"flags": 1}):
        entry = central(b"a", packed=len(body), size=100, crc=crc, **extra)
        assert refusal(archive(tmp_path / "odd.zip", start, [entry])).code == "zip.broken"
    (tmp_path / "cut.zip").write_bytes(start)
    assert refusal(tmp_path / "cut.zip").code == "zip.broken"


def test_a13_names_in_an_archive_are_never_paths(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    planes = series(tmp_path / "scan", 2)
    with zipfile.ZipFile(inside / "names.zip", "w") as packed:
        packed.write(tmp_path / "scan" / "001.dcm", "../../evil.dcm")
        packed.write(tmp_path / "scan" / "002.dcm", "/absolute.dcm")
    volume = read(inside / "names.zip")
    assert np.array_equal(volume.values, planes.transpose(2, 1, 0).astype(np.float32) - 1024)
    assert [path.name for path in inside.iterdir()] == ["names.zip"]
    assert not (tmp_path / "evil.dcm").exists()


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"])
@pytest.mark.parametrize("value", ["../../x", "1.2.3/../4", "1.2.a"])
def test_a14_what_is_no_uid_is_refused(tmp_path: Path, keyword: str, value: str) -> None:
    data = image()
    honest = "1." + "9" * 61
    setattr(data, keyword, honest)
    path = save(tmp_path / "uid.dcm", data)
    lie = value.encode().ljust(64, b"\0")
    whole = path.read_bytes()
    path.write_bytes(whole.replace(honest.encode() + b"\0", lie))
    error = refusal(path)
    assert error.code == "identity.uid"
    assert value not in str(error)


def test_a15_hostile_text_is_shown_cut_and_on_one_line() -> None:
    assert shown("a\r\nb\x00c\u202ed") == "a??b?c?d"
    assert len(shown("x" * 1_000_000)) == 64
    assert shown("<b>") == "<b>"


def test_a15_hostile_text_in_a_header_does_not_stop_reading(tmp_path: Path) -> None:
    data = image()
    data.SeriesDescription = "evil\u202e\r\n<script>"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data.PatientName = "x" * 60_000
    data.SpecificCharacterSet = "ISO_IR 192"
    path = save(tmp_path / "text.dcm", data)
    row = describe(path).stacks[0]
    assert "\n" not in str(row["description"])
    assert "\u202e" not in str(row["description"])
    raw = path.read_bytes().replace(b"ISO_IR 192", b"ISO_XX 999")
    path.write_bytes(raw)
    assert read(path).geometry.shape == (20, 16, 1)


def test_a15_file_names_are_shown_cut(tmp_path: Path) -> None:
    path = tmp_path / "evil\nname\u202e.dcm"
    path.write_bytes(b"no DICOM")
    fact = refusal(path).fact
    assert "\n" not in fact
    assert "\u202e" not in fact


def test_a16_a_dicomdir_is_never_opened(tmp_path: Path) -> None:
    series(tmp_path, 3)
    (tmp_path / "DICOMDIR").write_bytes(b"\xff" * 100)
    (tmp_path / "DICOMDIR").chmod(0)
    assert read(tmp_path).geometry.shape[2] == 3
    assert "1 files skipped: skip.dicomdir" in read(tmp_path).notes


@pytest.mark.parametrize(
    "sop_class",
    [
        "1.2.840.10008.5.1.4.1.1.104.1",
        "1.2.840.10008.5.1.4.1.1.88.33",
        "1.3.6.1.4.1.9590.100.1.2.1",
        "1.2.840.10008.1.3.10",
    ],
)
def test_a17_documents_reports_and_private_classes_are_skipped(tmp_path: Path, sop_class: str) -> None:
    data = image()
    data.SOPClassUID = sop_class
    assert refusal(save(tmp_path / "a.dcm", data)).code == "skip.sop_class"


def test_the_guard_takes_every_sound_file_of_pydicom() -> None:
    """A guard that refuses honest files is no guard: only truncated, malformed and unread syntaxes may fall."""
    refused: dict[str, set[str]] = {}
    for path in (Path(pydicom.__file__).parent / "data" / "test_files").rglob("*.dcm"):
        try:
            check_dicom(path.read_bytes(), name=path.name)
        except Refusal as error:
            refused.setdefault(error.code, set()).add(path.name)
    truncated = refused.pop("dicom.truncated", set()) | refused.pop("pixel.truncated", set())
    assert truncated <= {"MR_truncated.dcm", "rtplan_truncated.dcm"}
    assert set(refused) <= {"dicom.not_dicom", "pixel.syntax", "dicom.structure"}
    assert len(refused.get("dicom.structure", ())) <= 1


def mutated(source: bytes, rng: random.Random) -> bytes:
    data = bytearray(source)
    for _ in range(rng.choice((1, 3, 10))):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


@pytest.mark.parametrize("check", [parse_codestream], ids=["codestream"])
def test_codestream_parsing_raises_nothing(check: Callable[[bytes], object]) -> None:
    rng = random.Random(3)  # noqa: S311 -- mutants, not secrets
    for syntax in SYNTAXES:
        _, frame = coded(syntax)
        for _ in range(2000):
            check(mutated(frame[:200], rng))
            check(frame[: rng.randrange(200)])
