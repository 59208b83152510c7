"""What one reader child may take. The figures come from bytes that are there, never from a header's word alone."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass

from medsr.settings import settings

__all__ = ["Limits", "apply", "first_limits", "limits_for"]

_MIB = 1 << 20
_FILES = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """Address space in bytes, CPU in seconds."""

    memory_bytes: int
    cpu_s: int


def first_limits(*, files: int, input_bytes: int, largest_file: int) -> Limits:
    """Before any header is read: room for the parsers and two copies of the largest file.

    All figures are the file system's, so they are of bytes that are there.
    """
    limits = settings()
    memory = limits.reader_memory_base_bytes + 2 * largest_file
    cpu = limits.reader_cpu_base_s + limits.reader_cpu_per_file_s * files
    cpu += limits.reader_cpu_per_64_mib_s * input_bytes / (64 * _MIB)
    return Limits(min(memory, _half_of_memory()), round(cpu))


def limits_for(first: Limits, *, volume_bytes: int, compressed_pixels: int) -> Limits:
    """With the headers judged: the declared volume, which was held against the bytes present, may be decoded."""
    limits = settings()
    memory = first.memory_bytes + int(limits.reader_memory_per_volume * volume_bytes)
    cpu = first.cpu_s + limits.reader_cpu_per_64_mib_s * volume_bytes / (64 * _MIB)
    cpu += limits.reader_cpu_per_coded_megapixel_s * compressed_pixels / 1e6
    return Limits(min(memory, _half_of_memory()), round(cpu))


def apply(limits: Limits) -> None:
    """Set the limits on this process; only soft ones of memory and CPU can be set again, by :func:`raise_to`."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    ceiling = _half_of_memory() if hard == resource.RLIM_INFINITY else min(hard, _half_of_memory())
    resource.setrlimit(resource.RLIMIT_AS, (min(limits.memory_bytes, ceiling), ceiling))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, _FILES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _half_of_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
