"""A small picture of a scan for the index: the measurement, and the restored image where it was released."""

from __future__ import annotations

from pathlib import Path

from medsr.pipeline.walk import Result
from medsr.report.thumbnail import thumbnail
from medsr.resources import write_bytes

__all__ = ["thumbnail_path", "write_thumbnail"]


def thumbnail_path(name: str) -> str:
    """Where the picture of a scan lies, relative to the run's folder."""
    return f"thumbnails/{name}.png"


def write_thumbnail(output: Path, name: str, result: Result) -> None:
    """Write the picture of a result; a held or rejected image is never shown outside its report."""
    data = thumbnail(result.restoration, restored=result.verdict.word == "released")
    write_bytes(output / thumbnail_path(name), data)
