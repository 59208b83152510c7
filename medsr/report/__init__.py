"""The report of a result: report.json, report.html and the sidecar, in words that promise no more than was measured."""

from medsr.report.render import render
from medsr.report.thumbnail import thumbnail

__all__ = ["render", "thumbnail"]
