"""The page that a demo ends with: every case, the gate's word, and a link to its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from medsr.report.words import DISCLAIMERS

__all__ = ["DemoEntry", "demo_page"]


@dataclass(frozen=True, slots=True)
class DemoEntry:
    """One case: what was done, the gate's word and sentence, and where its report lies, relative to the page."""

    title: str
    story: str
    word: str
    sentence: str
    report: str


def demo_page(entries: Sequence[DemoEntry]) -> bytes:
    """index.html: one self-contained page, UTF-8."""
    environment = Environment(
        loader=PackageLoader("medsr.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = environment.get_template("demo.html.j2").render(entries=entries, disclaimers=DISCLAIMERS)
    return page.encode()
