"""Tables say what lost to what, keep phantoms apart, and carry where each figure is from."""

from __future__ import annotations

import json
from dataclasses import replace
from xml.etree import ElementTree

from support.evaluate_rows import row

from medsr.evaluate.draws import DrawRow
from medsr.evaluate.evaluate import Evaluation
from medsr.evaluate.figure import figure_svg
from medsr.evaluate.repeats import RepeatRow
from medsr.evaluate.scans import Refused
from medsr.evaluate.tables import document, markdown


def _evaluation() -> Evaluation:
    rows = [
        row("a", "a", "input", 30),
        row("a", "a", "NLM 3-D", 32),
        row("a", "a", "net", 34, bundle="abc"),
        row("b", "b", "input", 31),
        row("b", "b", "NLM 3-D", 31.5),
        row("b", "b", "net", 30.5, bundle="abc"),
        replace(row("fruit", "fruit", "input", 1), role="outside"),
        replace(row("fruit", "fruit", "net", 2, bundle="abc"), role="outside"),
    ]
    return Evaluation(
        "made",
        3,
        rows,
        repeats=[RepeatRow("m", "input", 4.4, 0.0, 6)],
        draws=[DrawRow("a", "MR denoise 3 %", "net", 10, 0.2, 0.8, 0.1, {"4 px": 0.85, "8 px": 0.95})],
        refused=[Refused("four_d.nii.gz", "nifti.x")],
    )


def test_a_scan_that_lost_to_its_input_is_named_and_marked() -> None:
    text = markdown(_evaluation(), command="medsr evaluate made")
    assert "| MR denoise 3 % | net | 1 of 2 scans, not b | NLM 3-D |" in text
    assert "30.50*" in text
    assert "34.00*" not in text


def test_scans_out_of_the_domain_do_not_count() -> None:
    text = markdown(_evaluation(), command="medsr evaluate made")
    head, apart = text.split("## Apart")
    assert "fruit" not in head
    assert "fruit" in apart


def test_every_difference_is_printed_below_six_subjects() -> None:
    text = markdown(_evaluation(), command="medsr evaluate made")
    assert "net better than NLM 3-D by 0.50 (+2.00, -1.00), least -1.00, n = 2" in text


def test_a_table_names_its_command_machine_and_refusals() -> None:
    text = markdown(_evaluation(), command="medsr evaluate made --slices 3")
    assert "`medsr evaluate made --slices 3`" in text
    assert "four_d.nii.gz (nifti.x)" in text


def test_the_document_is_json_with_the_same_figures() -> None:
    record = json.loads(json.dumps(document(_evaluation(), command="medsr evaluate made")))
    assert record["schema"] == "medsr.evaluation/1"
    assert len(record["rows"]) == 8
    assert {entry["mean"] for entry in record["comparisons"] if entry["group"].startswith("all")} == {1.75, 0.5}


def test_contrast_kept_is_printed_by_diameter() -> None:
    text = markdown(_evaluation(), command="medsr evaluate made --draws 10")
    assert "kept, 4 px | kept, 8 px |" in text
    assert "| a | MR denoise 3 % | net | 10 | 0.20 | 0.80 | +0.10 | 0.85 | 0.95 |" in text


def test_the_figure_is_svg_with_a_panel_a_level() -> None:
    root = ElementTree.fromstring(figure_svg(_evaluation()))  # noqa: S314  # made a line above
    assert root.tag.endswith("svg")
