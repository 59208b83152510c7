"""report.json and the sidecar: schema, golden document, numbers that are not finite."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.reports import GOLDEN, VERSION, finding_of, golden_bytes, judgement_of, restoration_of, verdict_of

from medsr import __version__
from medsr.records import CalibrationUse, ChannelResult, NoiseLevel
from medsr.report.document import Report
from medsr.report.reference import reference_bytes
from medsr.report.render import render
from medsr.report.schema import schema_bytes
from medsr.validation.policy import load_policy

DOCS = Path(__file__).parents[2] / "docs"
POLICY = load_policy("research")
NAN = float("nan")


def rendered(task="denoise", modality="MR", findings=(), word="review", reasons=("uncalibrated",), **changes):
    restoration = restoration_of(task, modality)
    judgement = judgement_of(restoration, findings, **changes)
    return render(restoration, judgement, verdict_of(word, *reasons), policy=POLICY)


def test_the_published_schema_is_the_one_of_the_code():
    assert (DOCS / "report-schema.json").read_bytes() == schema_bytes()


def test_the_document_explains_the_fields_of_the_code():
    assert (DOCS / "report.md").read_bytes() == reference_bytes()


def test_every_field_of_the_schema_is_explained():
    schema = json.loads(schema_bytes())
    places = {"Report": schema, **{k: v for k, v in schema["$defs"].items() if "properties" in v}}
    silent = [
        f"{name}.{field}"
        for name, place in places.items()
        for field, entry in place["properties"].items()
        if not entry.get("description")
    ]
    assert silent == []


def test_the_made_case_gives_the_golden_document():
    stored = (GOLDEN / "report.json").read_bytes()
    assert hashlib.sha256(stored).hexdigest() in (GOLDEN / "README.md").read_text()
    same(json.loads(golden_bytes()), json.loads(stored), "report")
    assert json.loads(stored)["medsr_version"] == VERSION


def same(made, stored, place):
    """Equal, numbers to 1e-9: the last digits of a norm differ between processors."""
    if isinstance(stored, dict):
        assert set(made) == set(stored), place
        for key, value in stored.items():
            same(made[key], value, f"{place}.{key}")
    elif isinstance(stored, list):
        assert len(made) == len(stored), place
        for index, value in enumerate(stored):
            same(made[index], value, f"{place}[{index}]")
    elif isinstance(stored, float):
        assert made == pytest.approx(stored, rel=1e-9, abs=1e-12), place
    else:
        assert made == stored, place


def test_report_json_is_read_back_as_it_was():
    document = rendered("superres", findings=[finding_of()]).report_json
    assert Report.from_bytes(document).to_bytes() == document
    assert json.loads(document)["medsr_version"] == __version__


def test_numbers_that_are_not_finite_become_null():
    restoration = replace(restoration_of(), noise=NoiseLevel(NAN, "rician", "estimated"), resources={"x": float("inf")})
    finding = finding_of(size_mm=NAN, contrast=NAN, dprime=NAN, p=NAN, box_mm=((NAN, 0, 0), (1, 1, 1)))
    judgement = judgement_of(
        restoration,
        [finding],
        channels=(ChannelResult("R1", "range", "held", NAN, float("inf"), NAN),),
        measured_fraction=NAN,
        supplied_energy=NAN,
        calibration=CalibrationUse("record", 59, "the sentence", NAN),
        score=NAN,
    )
    out = render(restoration, judgement, verdict_of("review", "finding.added"), policy=POLICY)
    report = json.loads(out.report_json, parse_constant=pytest.fail)
    assert report["noise"]["sigma"] is None
    assert report["resources"] == {"x": None}
    assert [report["channels"][0][key] for key in ("value", "threshold", "p")] == [None] * 3
    assert [report["findings"][0][key] for key in ("size_mm", "contrast", "dprime", "p", "box_mm")] == [None] * 5
    assert report["measured_fraction"] is None
    assert report["supplied_energy"] is None
    assert report["calibration"]["score"] is report["calibration"]["threshold"] is None
    page = out.report_html.decode()
    assert "not known" in page
    assert ">nan" not in page.lower()
    assert " nan" not in page.lower()


def test_a_result_that_was_not_judged_says_so_instead_of_zero():
    report = json.loads(rendered(word="blocked", reasons=("judgement.error",), error="ValueError").report_json)
    assert report["measured_fraction"] is None
    assert report["supplied_energy"] is None
    assert "could not judge" in report["limits"][0]


def test_a_status_or_type_that_is_not_known_vouches_for_nothing():
    strange = ChannelResult("R1", "range", "perfect", 1.0, 1.0)
    report = json.loads(rendered(channels=(strange,), findings=[finding_of(type="miracle")]).report_json)
    assert report["channels"][0]["status"] == "not_assessed"
    assert "perfect" in report["channels"][0]["note"]
    assert report["findings"] == []
    assert any("1 findings are of a type" in limit for limit in report["limits"])


def test_required_channels_are_those_of_the_policy_for_the_task():
    channels = json.loads(rendered().report_json)["channels"]
    assert {item["name"]: item["required"] for item in channels} == {"R1": True, "R4": True}


def test_measured_sizes_rise_to_one_and_match_the_operator():
    sizes = json.loads(rendered("superres").report_json)["measured_sizes"]
    shares = [item["share"] for item in sizes]
    assert shares[0] < 0.85
    assert shares[-1] > 0.9
    assert json.loads(rendered("denoise").report_json)["measured_sizes"] == []


def test_the_sidecar_names_source_model_and_word_and_no_operator():
    sidecar = json.loads(rendered("superres", "CT", word="review").sidecar)
    assert sidecar["Sources"] == ["made.nii.gz"]
    assert sidecar["SourcesSha256"] == {"made.nii.gz": "a" * 64}
    assert sidecar["Gate"] == "review"
    assert sidecar["Label"] == "UNVERIFIED"
    assert sidecar["SkullStripped"] is False
    assert sidecar["Bundle"] == {"Name": "made-bundle", "Version": "1.0", "Sha256": "b" * 64}
    assert "supplied by a model" in sidecar["SyntheticData"]
    assert "operator" not in sidecar
    assert not any("reader" in key.lower() for key in sidecar)


def test_synthetic_slices_stand_in_the_sidecar():
    restoration = replace(restoration_of(), task="inpaint", synthetic_slices=(1, 3))
    out = render(restoration, judgement_of(restoration), verdict_of("review"), policy=POLICY)
    sidecar = json.loads(out.sidecar)
    assert sidecar["SyntheticSlices"] == [1, 3]
    assert "SyntheticSlices" in sidecar["SyntheticData"]
