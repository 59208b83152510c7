"""The page that a demo ends with: every case in pictures, the gate's word, and a link to its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from medsr.records import Judgement, Restoration, Verdict
from medsr.report.contents import known_findings
from medsr.report.figures import slice_figure
from medsr.report.panels import Panel
from medsr.report.planes import shown_slices
from medsr.report.words import DISCLAIMERS, gate_sentence

__all__ = ["DemoEntry", "demo_entry", "demo_page"]


@dataclass(frozen=True, slots=True)
class DemoEntry:
    """One case: what was done, the gate's word and sentence, its report relative to the page, and small pictures."""

    title: str
    story: str
    word: str
    sentence: str
    report: str
    panels: tuple[Panel, ...]


def demo_entry(
    title: str, story: str, restoration: Restoration, judgement: Judgement, verdict: Verdict, *, report: str
) -> DemoEntry:
    """A case with input, restored and difference of the slice that matters most."""
    findings = known_findings(judgement)
    index = shown_slices(findings, restoration)[0]
    figure = slice_figure(restoration, judgement, list(enumerate(findings, start=1)), index, main=False)
    sentence = gate_sentence(judgement, verdict, task=restoration.task)
    return DemoEntry(title, story, verdict.word, sentence, report, figure.whole)


def demo_page(entries: Sequence[DemoEntry]) -> bytes:
    """index.html: one self-contained page, UTF-8."""
    environment = Environment(
        loader=PackageLoader("medsr.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("demo.html.j2").render(entries=entries, disclaimers=DISCLAIMERS).encode()
