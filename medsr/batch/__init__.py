"""Many scans in one run: found, restored by workers that may die, judged each by itself, counted in one table."""

__all__: list[str] = []
