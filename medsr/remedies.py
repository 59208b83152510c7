"""The remedy said with each reason code: what the user can do about it.

One table, so that the documentation, the command line and the service say the same, and a test can
hold that every code is raised by some test.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["REMEDIES"]

REMEDIES: Mapping[str, str] = MappingProxyType(
    {
        "geometry.shape": "give a volume of three axes, each at least one voxel long",
        "geometry.affine": "write a finite, invertible affine into the header (nibabel: set_sform)",
        "geometry.spacing": "check the header's unit: medsr expects millimetres between 0.01 and 50",
        "geometry.shear": "resample the scan to a right-angled grid yourself, and say so; medsr never does it silently",
        "volume.shape": "pass values of the shape and type that the geometry states",
        "volume.not_finite": "replace NaN and infinite voxels by a fill value your reader knows, or re-export the scan",
        "noise.unknown": "use one of the noise models named in docs/operators.md",
        "noise.parameter": "correct the noise parameters in the sidecar or on the command line",
        "operator.uneven": "keep the whole stack as the grid: unevenly acquired slices have no grid of their own",
        "operator.slab": "process the whole stack: this operator mixes slices",
        "bundle.network": "use the network configuration that the weights were trained with",
        "bundle.none": "see `medsr models list` for what is installed, or train one with `medsr train`",
        "bundle.broken": "install the bundle again; a bundle is complete or not used",
        "bundle.hash": "install the bundle again and find out who changed it; medsr never runs changed weights",
        "bundle.weights": "install the bundle again; its weights do not fit its configuration",
        "engine.no_cuda": "use --device cpu, or check the driver with nvidia-smi",
        "degrade.parameter": "see `medsr degrade --help` for what each task needs",
        "restore.task": "choose denoise or superres, or install a bundle that does the task (`medsr models list`)",
        "restore.method": "choose a method that an installed bundle offers (`medsr models list`)",
        "restore.scale": "give --scale between 1.5 and 4 with --task superres, and none with denoise",
        "restore.noise": "give the noise as a number in image units, HU for CT, or leave it to be estimated",
        "volume.empty": "check that the file holds the scan you mean",
        "train.recipe": "see models/recipes for working examples",
        "train.no_scans": "point --data at a folder of .nii.gz scans",
        "train.other_recipe": "choose another --output folder, or remove the old checkpoint",
        "operator.sidecar": "give the .json that `medsr degrade` wrote beside the scan",
        "validate.grid": "give the candidate on the measurement's grid, or on an in-plane multiple of its field of view",
        "train.start": "fine-tune a bundle with the recipe it was trained by",
        "operator.indivisible": "choose a factor that divides the matrix, or the overlap form of the operator",
        "operator.shape": "give the operator that was used on this very scan, or leave it out",
        "operator.parameter": "correct the operator's parameters in the sidecar or on the command line",
        "operator.unknown": "use one of the registered operators, named in docs/operators.md",
    }
)
