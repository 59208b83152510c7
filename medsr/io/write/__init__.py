"""Writing NIfTI, DICOM series and JSON. Protected: only release and degrade import this room's writers."""

from medsr.io.write.nifti import write_json, write_nifti

__all__ = ["write_json", "write_nifti"]
