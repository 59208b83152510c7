"""Writing NIfTI, DICOM series and JSON. Protected: only release and degrade import this room's writers."""

from medsr.io.write.dicom import write_dicom_series
from medsr.io.write.facts import DerivedFacts
from medsr.io.write.nifti import write_json, write_nifti

__all__ = ["DerivedFacts", "write_dicom_series", "write_json", "write_nifti"]
