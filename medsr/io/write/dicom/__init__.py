"""Derived DICOM series: `series` writes them, `content` and `multi_frame` make their attributes, `uids` their names."""

from medsr.io.write.dicom.series import write_dicom_series

__all__ = ["write_dicom_series"]
