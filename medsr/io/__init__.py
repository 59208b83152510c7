"""Reading scans, and the encoding of what will be written."""

from medsr.io.describe import Description, describe, stacks_of
from medsr.io.reader import is_dicom_file, is_nifti, read

__all__ = ["Description", "describe", "is_dicom_file", "is_nifti", "read", "stacks_of"]
