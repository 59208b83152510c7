"""Where data lies, and the one atomic writer."""

from medsr.resources.atomic import exchange, sync_folder, write_bytes, writing
from medsr.resources.root import data_root

__all__ = ["data_root", "exchange", "sync_folder", "write_bytes", "writing"]
