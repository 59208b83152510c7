"""NIfTI: the header judged from its raw bytes, then exactly as many bytes inflated as it allows."""

__all__: list[str] = []
