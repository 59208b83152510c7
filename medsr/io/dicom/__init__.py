"""DICOM: files, structure, frames, stacks, pixels; each step judged before the next."""

__all__: list[str] = []
