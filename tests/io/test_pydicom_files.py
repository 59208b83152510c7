"""The test files that the pydicom package carries: read as pydicom decodes them, or refused for a stated reason."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pydicom.data
from pydicom.pixels import apply_rescale

from medsr.errors import MedsrError
from medsr.io import read

FOLDER = Path(pydicom.data.__file__).parent / "test_files"
REFUSALS = {
    "skip.sop_class",
    "skip.localizer",
    "skip.dicomdir",
    "pixel.missing",
    "pixel.syntax",
    "pixel.truncated",
    "dicom.not_dicom",
    "dicom.structure",
    "dicom.truncated",
}
READ = {
    "CT_small.dcm",
    "MR_small.dcm",
    "MR_small_RLE.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
}


def test_every_file_is_read_as_pydicom_decodes_it_or_refused_for_a_reason() -> None:
    seen, compared = Counter(), set()
    for path in sorted(FOLDER.rglob("*.dcm")):
        try:
            volume = read(path)
        except MedsrError as error:
            seen[error.code] += 1
            continue
        seen["read"] += 1
        if path.name in READ:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                data = pydicom.dcmread(path)
                wanted = apply_rescale(data.pixel_array, data)
            assert np.array_equal(volume.values[:, :, 0].T, wanted), path.name
            compared.add(path.name)
    assert compared == READ
    assert set(seen) - {"read"} <= REFUSALS
    assert seen["read"] >= len(READ)
