"""The review page: worklist, study view, decision, in plain HTML, CSS and ES modules without a build step."""

__all__: list[str] = []
