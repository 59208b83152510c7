"""Transfer syntaxes: bit-exact on 12-bit unsigned and 16-bit signed pixels, and pydicom's own files."""

from __future__ import annotations

import builtins
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless
from support.dicom import MR, image, save, stored_planes

from medsr.errors import MedsrError, MissingExtra
from medsr.io import read
from medsr.io.dicom import decode

JPEG_LOSSLESS_14, JPEG_LOSSLESS_SV1 = "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"
JPEG_LS, JPEG_LS_NEAR = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"
J2K_LOSSLESS, J2K, HTJ2K_LOSSLESS, HTJ2K_RPCL = (f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 201, 202))
LOSSLESS = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless, JPEG_LOSSLESS_14, JPEG_LOSSLESS_SV1, JPEG_LS,
            J2K_LOSSLESS, J2K, HTJ2K_LOSSLESS, HTJ2K_RPCL)  # fmt: skip
PYDICOM = Path(pydicom.__file__).parent / "data" / "test_files"
PYDICOM_READ = {
    "693_J2KI.dcm", "CT_small.dcm", "J2K_pixelrep_mismatch.dcm", "MR_small.dcm", "MR_small_RLE.dcm",
    "MR_small_implicit.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_padded.dcm",
    "examples_overlay.dcm",
}  # fmt: skip
PYDICOM_REFUSED = {
    "dicom.not_dicom", "dicom.structure", "dicom.truncated", "pixel.missing", "pixel.syntax", "pixel.truncated",
    "skip.dicomdir", "skip.localizer", "skip.sop_class",
}  # fmt: skip


def coded(syntax: str, plane: np.ndarray) -> bytes:
    """One frame. Signed values are handed to encoders of unsigned ones by their bits, as scanners do."""
    import imagecodecs
    import jpeg_ls

    raw = np.ascontiguousarray(plane).view(np.uint16)
    if syntax == JPEG_LS:
        return bytes(jpeg_ls.encode_array(raw))
    if syntax in (JPEG_LOSSLESS_14, JPEG_LOSSLESS_SV1):
        return imagecodecs.ljpeg_encode(raw, bitspersample=16)
    if syntax in (HTJ2K_LOSSLESS, HTJ2K_RPCL):
        return imagecodecs.htj2k_encode(raw, reversible=True)
    return imagecodecs.jpeg2k_encode(raw, reversible=True, codecformat="j2k")


def slice_of(syntax: str, plane: np.ndarray) -> Dataset:
    data = image(MR, pixels=plane)
    if plane.dtype == np.int16:
        data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 15, 1
    data.file_meta.TransferSyntaxUID = syntax
    if syntax == RLELossless:
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.compress(RLELossless, generate_instance_uid=False)
    elif syntax not in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        data.PixelData = encapsulate([coded(syntax, plane)])
        data["PixelData"].VR = "OB"
        data["PixelData"].is_undefined_length = True
    return data


@pytest.mark.parametrize("syntax", LOSSLESS)
@pytest.mark.parametrize("signed", [False, True])
def test_lossless_syntaxes_are_bit_exact(tmp_path: Path, syntax: str, signed: bool) -> None:
    plane = stored_planes(1, 40, 48)[0]
    if signed:
        plane = (plane.astype(np.int32) * 20 - 30_000).astype(np.int16)
    path = save(tmp_path / "a.dcm", slice_of(syntax, plane))
    assert np.array_equal(read(path).values[:, :, 0], plane.T.astype(np.float32))
    assert not read(path).acquisition.lossy


def test_every_syntax_of_the_table_is_tried_here() -> None:
    assert set(decode._DECODERS) | decode.NATIVE == {*LOSSLESS, JPEG_LS_NEAR, "1.2.840.10008.1.2.4.51"}


def test_near_lossless_is_within_its_bound_and_told(tmp_path: Path) -> None:
    import jpeg_ls

    plane = stored_planes(1, 40, 48)[0]
    data = slice_of(JPEG_LS, plane)
    data.file_meta.TransferSyntaxUID = JPEG_LS_NEAR
    data.PixelData = encapsulate([bytes(jpeg_ls.encode_array(plane, lossy_error=2))])
    data["PixelData"].VR = "OB"
    data["PixelData"].is_undefined_length = True
    volume = read(save(tmp_path / "a.dcm", data))
    assert 0 < np.abs(volume.values[:, :, 0] - plane.T).max() <= 2
    assert volume.acquisition.lossy
    assert "the source was compressed with loss" in volume.notes


def test_an_irreversible_wavelet_is_loss_whatever_the_header_says(tmp_path: Path) -> None:
    import imagecodecs

    plane = stored_planes(1, 64, 64)[0]
    data = slice_of(J2K, plane)
    frame = imagecodecs.jpeg2k_encode(plane, level=30, reversible=False, codecformat="j2k")
    data.PixelData = encapsulate([frame])
    data["PixelData"].VR = "OB"
    data["PixelData"].is_undefined_length = True
    assert read(save(tmp_path / "a.dcm", data)).acquisition.lossy


def test_a_decoder_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = builtins.__import__

    def missing(name: str, *args: object, **options: object) -> object:
        if name == "imagecodecs":
            raise ModuleNotFoundError(name=name)
        return whole(name, *args, **options)  # type: ignore[arg-type]  # as import calls it

    frame = coded(J2K_LOSSLESS, stored_planes(1, 40, 48)[0])
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(MissingExtra) as caught:
        decode.decode(frame, J2K_LOSSLESS, decode.PlaneFormat(40, 48, 16, 12, signed=False), name="a")
    assert caught.value.code == "pixel.decoder"
    assert "medsr[dicom]" in caught.value.remedy


@pytest.mark.parametrize("name", sorted(PYDICOM_READ))
def test_pydicom_s_own_images_are_read_as_pydicom_reads_them(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = pydicom.dcmread(PYDICOM / name)
        theirs = data.pixel_array * float(data.get("RescaleSlope", 1)) + float(data.get("RescaleIntercept", 0))
    assert np.array_equal(read(PYDICOM / name).values[:, :, 0], theirs.T.astype(np.float32))


@pytest.mark.slow
def test_pydicom_s_other_files_are_refused_for_a_reason() -> None:
    unexpected = {}
    for path in sorted(PYDICOM.rglob("*")):
        if path.is_dir() or path.suffix in (".txt", ".json", ".icc", ".dump", ".py", ".pyc"):
            continue
        try:
            volume = read(path)
        except MedsrError as error:
            if error.code not in PYDICOM_REFUSED:
                unexpected[path.name] = str(error)
        else:
            if path.name not in PYDICOM_READ and volume.geometry.shape != (16, 16, 1):
                unexpected[path.name] = "read"
    assert unexpected == {}


def test_a_folder_of_several_studies_is_surveyed_not_guessed() -> None:
    with pytest.raises(MedsrError) as caught:
        read(PYDICOM / "dicomdirtests" / "77654033")
    assert caught.value.code in ("series.several_stacks", "skip.sop_class", "geometry.missing_slice", "geometry.uneven")
