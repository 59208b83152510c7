"""Reading scans, and the encoding of what will be written."""

from medsr.io.describe import Description, describe
from medsr.io.reader import read

__all__ = ["Description", "describe", "read"]
