"""Limits and folders, from MEDSR_* variables; every limit of docs/limits.md has its default here."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["Settings", "settings"]


class Settings(BaseSettings):
    """Configuration of one process. Unknown MEDSR_ variables are other rooms' business and ignored here."""

    model_config = SettingsConfigDict(env_prefix="MEDSR_", frozen=True, extra="ignore")

    max_voxels: int = Field(512 << 20, description="Largest volume, in voxels.")
    max_side: int = Field(4096, description="Longest side of a volume, in voxels.")
    max_volume_bytes: int = Field(16 << 30, description="Largest volume as stored, in bytes.")
    max_object_bytes: int = Field(1 << 30, description="Largest single DICOM object, in bytes.")
    max_header_bytes: int = Field(64 << 20, description="Largest DICOM header (all but pixel data), in bytes.")
    max_json_bytes: int = Field(1 << 20, description="Largest sidecar, in bytes.")
    max_zip_entries: int = Field(20_000, description="Most entries of a zip archive.")
    max_dicom_depth: int = Field(16, description="Deepest nesting of DICOM sequences.")
    max_dicom_items: int = Field(100_000, description="Most sequence items of a DICOM object.")
    max_dicom_values: int = Field(65_536, description="Most values of one DICOM element.")
    max_fragments_per_frame: int = Field(64, description="Most pixel data fragments a frame.")
    reader_memory_base_bytes: int = Field(1 << 30, description="Address space of the reader child before the volume.")
    reader_memory_per_volume: float = Field(4.0, description="Times the declared volume, added to it.")
    reader_cpu_base_s: float = Field(10.0, description="CPU seconds of the reader child.")
    reader_cpu_per_file_s: float = Field(0.05, description="CPU seconds more for each file.")
    reader_cpu_per_64_mib_s: float = Field(1.0, description="CPU seconds more for each 64 MiB of input.")
    reader_cpu_per_coded_megapixel_s: float = Field(2.0, description="CPU seconds more for each compressed megapixel.")
    reader_wall_factor: float = Field(6.0, description="Wall clock of the reader child, in times its CPU seconds.")
    max_files: int = Field(20_000, description="Most files of a folder or list.")
    max_zip_bytes: int = Field(8 << 30, description="Most bytes that a zip archive may inflate to.")
    max_upload_bytes: int = Field(4 << 30, description="Largest single input file, in bytes.")
    tile_memory_bytes: int = Field(2 << 30, description="Above this estimate a slice is restored in tiles.")
    models: Path | None = Field(None, description="A further folder of bundles.")
    policies: Path | None = Field(None, description="A further folder of policies.")
    calibration: Path | None = Field(None, description="A further folder of calibration records, asked first.")
    calibration_scores: Path | None = Field(None, description="Folder that keeps combined scores, to tell drift.")
    signing_key: Path | None = Field(None, description="Ed25519 private key for signed records.")


@cache
def settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()
