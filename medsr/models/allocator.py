"""glibc allocator settings for inference and training on the CPU.

Without them every activation is mapped, zeroed, faulted in and returned: 50,000 to 130,000 page faults a slice
and up to twice the time (docs/performance.md).
"""

from __future__ import annotations

import ctypes
import platform
from functools import cache

__all__ = ["keep_pages"]

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -4, -8


@cache
def keep_pages() -> bool:
    """Tell glibc to keep freed pages and to use one arena; call before the first tensor and the first thread.

    Only the first call of a process does anything.

    One arena matters: threads of a pool would otherwise get arenas of their own, to which the limits below do
    not apply once a tensor passes 64 MB. Returns False where the C library is not glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL("libc.so.6")
    done = [
        libc.mallopt(_M_ARENA_MAX, 1),
        libc.mallopt(_M_MMAP_MAX, 0),
        libc.mallopt(_M_TRIM_THRESHOLD, 1 << 30),
        libc.mallopt(_M_TOP_PAD, 64 << 20),
    ]
    return all(done)
