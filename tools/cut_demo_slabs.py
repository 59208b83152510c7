"""Cut the two scans that travel with medsr out of their sources: python tools/cut_demo_slabs.py DATA_PACK.

The slabs serve `medsr demo` and the tests. Voxels are copied, never resampled; the affine moves with the first voxel.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel
import numpy as np
from isal import igzip

SLABS = {
    "t1_head": ("dev/mri/forrest_t1_1mm_head.nii.gz", (0, 176), (0, 236), (96, 110)),
    "ct_chest": ("dev/ct/rider0117.nii.gz", (0, 512), (0, 393), (0, 8)),
}


def main() -> None:
    """Write both slabs into validation/demo, gzip level 3 of isal, no time stamp."""
    pack, target = Path(sys.argv[1]), Path(__file__).parent.parent / "validation" / "demo"
    for name, (source, *spans) in SLABS.items():
        image = nibabel.load(pack / source)
        place = tuple(slice(*span) for span in spans)
        values = np.asarray(image.dataobj)[place]
        affine = image.affine.copy()
        affine[:3, 3] += affine[:3, :3] @ [span[0] for span in spans]
        header = image.header.copy()
        header["descrip"] = b""
        header["db_name"] = b""
        header["aux_file"] = b""
        cut = nibabel.Nifti1Image(values, affine, header)
        path = target / f"{name}.nii.gz"
        path.write_bytes(igzip.compress(cut.to_bytes(), 3, mtime=0))
        print(path.name, values.shape, path.stat().st_size)


if __name__ == "__main__":
    main()
