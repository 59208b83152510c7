"""report.html: self-contained, escaped, deterministic, and never more hopeful than the gate."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import product
from typing import get_args

import numpy as np
import pytest
from scipy import ndimage
from support.reports import finding_of, judgement_of, restoration_of, verdict_of

from medsr.physics import Identity, Operator
from medsr.records import CalibrationUse, ChannelResult, ChannelStatus, FindingType, ProbeDisc, Word
from medsr.report.render import render
from medsr.validation.policy import load_policy
from medsr.volume import Acquisition, Geometry, Volume

POLICY = load_policy("research")
HOSTILE = "<script>alert('x')</script>\"&.nii.gz"


class Elements(HTMLParser):
    """Every element with its attributes, and the text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def page_of(restoration=None, findings=(), verdict=None, **changes) -> str:
    restoration = restoration or restoration_of()
    judgement = judgement_of(restoration, findings, **changes)
    verdict = verdict or verdict_of("review" if findings else "released")
    return render(restoration, judgement, verdict, policy=POLICY).report_html.decode()


def parsed(page: str) -> Elements:
    elements = Elements()
    elements.feed(page)
    return elements


@pytest.mark.parametrize(("task", "modality"), list(product(("denoise", "superres"), ("MR", "CT"))))
def test_the_page_refers_to_nothing_outside_itself(task, modality):
    page = page_of(restoration_of(task, modality), [finding_of()])
    for tag, attributes in parsed(page).found:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base", "form")
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href", "xlink:href", "srcset", "action", "data"):
                assert (value or "").startswith(("data:image/png;base64,", "#")), (tag, name)
    assert "http:" not in page
    assert "https:" not in page
    assert "@import" not in page
    assert "url(" not in page


def test_the_content_security_policy_lets_nothing_in():
    metas = [attributes for tag, attributes in parsed(page_of()).found if tag == "meta"]
    policy = next(item["content"] for item in metas if item.get("http-equiv") == "Content-Security-Policy")
    parts = [part.strip() for part in policy.split(";")]
    assert parts[0] == "default-src 'none'"
    assert "img-src data:" in parts
    assert not any("script" in part or "*" in part for part in parts)


def test_a_hostile_file_name_is_shown_and_not_run():
    page = page_of(restoration_of(name=HOSTILE))
    elements = parsed(page)
    assert "<script" not in page
    assert HOSTILE in elements.text


def test_hostile_notes_are_shown_and_not_run():
    channel = ChannelResult("R1", "range", "passed", 1.0, 1.0, note="</td><img src=x onerror=alert(1)>")
    page = page_of(channels=(channel,), limits=("<b onclick=1>limit</b>",))
    assert "<img" not in page
    assert "<b onclick" not in page


def test_header_facts_of_the_scanner_and_the_patient_are_not_told():
    restoration = restoration_of()
    private = replace(
        restoration.measured,
        acquisition=Acquisition(manufacturer="SECRET-A", body_part="SECRET-B"),
        degradation={"source": {"name": "SECRET-C"}},
    )
    restoration = replace(restoration, measured=private)
    out = render(restoration, judgement_of(restoration), verdict_of("released"), policy=POLICY)
    assert b"SECRET" not in out.report_html + out.report_json + out.sidecar


def test_the_same_arguments_give_the_same_bytes():
    made = [
        render(item, judgement_of(item, [finding_of()]), verdict_of("review"), policy=POLICY)
        for item in (restoration_of("superres"), restoration_of("superres"))
    ]
    assert made[0] == made[1]


def test_only_timings_differ_between_two_runs():
    slow = replace(restoration_of(), timings={"restore_s": 77.0})
    pages = [page_of(item) for item in (restoration_of(), slow)]
    differing = [pair for pair in zip(*(page.splitlines() for page in pages), strict=True) if pair[0] != pair[1]]
    assert len(differing) == 1
    assert "77 s" in differing[0][1]


@pytest.mark.parametrize(
    ("word", "status", "kind"),
    list(product(get_args(Word), get_args(ChannelStatus), (None, *get_args(FindingType)))),
)
def test_every_word_status_and_type_is_shown(word, status, kind):
    findings = [] if kind is None else [finding_of(type=kind)]
    channel = ChannelResult("R4", "range", status, 6.0 if status != "not_assessed" else None, 5.4)
    page = page_of(findings=findings, verdict=verdict_of(word), channels=(channel,))
    assert f'<header class="{word}">' in page
    assert f'class="status {status}"' in page
    assert (f'class="chip {kind}"' in page) == (kind is not None)


@pytest.mark.parametrize("word", get_args(Word))
def test_no_word_is_celebrated(word):
    page = page_of(verdict=verdict_of(word))
    assert not set("✓✔☑✅👍") & set(page)
    assert "green" not in page.lower()
    colours = re.findall(r"#([0-9a-fA-F]{6})\b", page)
    for colour in colours:
        red, green, blue = (int(colour[place : place + 2], 16) for place in (0, 2, 4))
        assert green <= max(red, blue) + 12, f"#{colour} is green"


def test_unverified_stands_on_the_page_exactly_where_the_verdict_carries_it():
    use = CalibrationUse("record-7", 59, "One lesion in each of 59 subjects: the sentence of the record.", 5.0)
    bare = page_of(verdict=verdict_of("released"))
    backed = page_of(verdict=verdict_of("released", label=""), calibration=use, score=1.0)
    assert '<span class="label">UNVERIFIED</span>' in bare
    assert "UNVERIFIED" not in backed
    assert use.guarantee in backed


def test_boxes_carry_their_size_and_type():
    page = page_of(findings=[finding_of(), finding_of(id="R4-2", type="omitted", size_mm=3.1, dprime=6.0)])
    marks = [attributes for tag, attributes in parsed(page).found if tag == "rect"]
    assert {item["class"] for item in marks} == {"mark added", "mark omitted"}
    assert "1: 5 mm" in page


def test_every_finding_stands_in_the_table_with_place_and_slice():
    page = page_of(findings=[finding_of()])
    row = page[page.index('class="findings"') :]
    for text in ("5 mm", "+5.0 %", "9.1", "L 10, A 24, S 11 mm", "2 to 3"):
        assert text in row


def test_more_findings_than_the_table_holds_are_counted():
    findings = [finding_of(id=f"R4-{number}", dprime=30.0 - number) for number in range(28)]
    page = page_of(findings=findings)
    assert "3 more stand in report.json" in page


def test_denoising_shows_no_map_of_supplied_detail():
    assert "Measured or supplied" not in page_of(findings=[finding_of()])
    assert "Measured or supplied" in page_of(restoration_of("superres"), [finding_of()])


def test_a_synthetic_slice_has_no_input_to_show():
    restoration = replace(restoration_of(), task="inpaint", synthetic_slices=(2,))
    page = page_of(restoration)
    assert "This slice is synthetic" in page
    assert 'for="alternate"' not in page


def test_an_image_off_its_grid_still_gets_its_report():
    restoration = replace(restoration_of(), image=np.zeros((3, 3, 3), np.float32))
    verdict = verdict_of("blocked", "judgement.error")
    judgement = replace(judgement_of(restoration_of()), error="ValueError", maps={})
    page = render(restoration, judgement, verdict, policy=POLICY).report_html.decode()
    assert "No pictures" in page
    assert "Blocked: the gate could not judge this result" in page


def test_an_image_that_is_not_finite_still_gets_its_report():
    restoration = restoration_of()
    image = np.array(restoration.image)
    image[5, 5, :] = np.nan
    assert "Slice" in page_of(replace(restoration, image=image))


def test_a_candidate_of_unknown_making_is_called_so():
    page = page_of(replace(restoration_of(), model=None, intensity={}), [finding_of()])
    assert "unknown: the candidate was made elsewhere" in page


def test_the_page_of_a_large_noisy_scan_stays_below_1500_kb():
    shape = (512, 512, 4)
    rng = np.random.default_rng(0)
    noisy = np.asfortranarray(rng.normal(40, 30, shape).astype(np.float32))
    geometry = Geometry(shape, np.diag([0.7, 0.7, 2.0, 1.0]))
    small = restoration_of("denoise", "CT")
    measured = Volume(noisy, geometry, "CT", "HU", small.measured.source)
    restoration = replace(
        small, measured=measured, image=noisy * np.float32(0.5), geometry=geometry,
        operator=Operator(Identity(shape, 2), small.operator.noise, "declared"),
    )  # fmt: skip
    z = {index: ndimage.gaussian_filter(noisy[:, :, index], 2) for index in range(4)}
    findings = [finding_of(id=str(k), box_voxel=((100, 90, k), (106, 96, k + 1))) for k in range(4)]
    page = page_of(restoration, findings, maps={"contradicted": z, "supplied": {}})
    assert len(page) < 1_500_000


def test_a_check_of_the_whole_that_fails_is_never_shown_as_no_contradiction():
    channel = ChannelResult(
        "R1w", "range", "held", 20.0, 1.0, may="reject", words="the restored image is on average 20 HU darker"
    )
    page = page_of(verdict=verdict_of("rejected", "channel.reject:R1w"), channels=(channel,))
    assert "none found" not in page
    assert "No contradiction was found" not in page
    assert "on the whole the restored image is on average 20 HU darker" in page


def test_an_image_that_contradicts_as_a_whole_has_no_boxes_and_a_short_list():
    findings = [finding_of(id=f"R4-{number}", dprime=30.0 - number) for number in range(28)]
    page = page_of(findings=findings, verdict=verdict_of("rejected", "findings.many"))
    assert "contradicts the scan as a whole" in page
    assert [tag for tag, _ in parsed(page).found if tag == "rect"] == []
    assert "23 more stand in report.json" in page


def test_every_picture_of_the_main_slice_moves_to_the_same_part():
    page = page_of(findings=[finding_of()])
    views = [a for tag, a in parsed(page).found if tag == "input" and a.get("name") == "view"]
    assert [a["id"] for a in views] == [f"view-{n}" for n in range(len(views))]
    assert sum("checked" in a for a in views) == 1
    assert "finding 1" in page
    for number in range(1, len(views)):
        assert f"#view-{number}:checked ~ .row .pan {{ transform: translate(" in page


def test_the_smallest_lesion_kept_is_told_in_mm():
    discs = tuple(
        ProbeDisc((16, 14, 2), size, 9.0, 1, kept)
        for size, kept in ((3.0, 0.2), (6.0, 0.8), (9.0, 0.9))
        for _ in range(4)
    )
    assert "6 mm" in page_of(replace(restoration_of(), probe=discs))
    assert "no probe lesions were planted" in page_of()


def test_what_the_channels_alone_decide_is_told_without_a_record():
    assert "would have released this result" in page_of(verdict=verdict_of("review", "uncalibrated"))
    held = page_of(findings=[finding_of()], verdict=verdict_of("review", "finding.added", "uncalibrated"))
    assert "would have held this result" in held
    use = CalibrationUse("record-7", 59, "The sentence of the record.", 5.0, "2026-11-24")
    backed = page_of(verdict=verdict_of("released", "channel.x", label=""), calibration=use, score=1.0)
    assert "channels alone" not in backed
    assert "Calibrated on 2026-11-24 with 59 subjects" in backed


def test_trust_is_drawn_where_there_are_draws_and_explained_where_there_are_none():
    assert "draws no others to compare it with" in page_of()
    spread = np.full(restoration_of().image.shape, 3.0, np.float32)
    assert "How far repeated draws of the model differ" in page_of(replace(restoration_of(), spread=spread))


def test_errors_against_a_reference_stand_beside_it():
    restoration = restoration_of("superres")
    reference = replace(restoration.measured, values=restoration.image, geometry=restoration.geometry, padding=None)
    plane = np.ones(restoration.geometry.shape[:2], np.float32)
    maps = {"contradicted": {}, "supplied": {}, "range_error": {2: plane}, "null_error": {2: -plane}}
    page = page_of(replace(restoration, reference=reference), maps=maps)
    assert "Error in what was supplied" in page
    assert "never release it" in page


def test_a_scan_of_another_kind_is_told_in_words():
    channel = ChannelResult("N4", "null", "held", 1.0, 0.0, note="distance of slices in mm 9, trained on 1 to 5")
    page = page_of(verdict=verdict_of("review", "channel.held:N4"), channels=(channel,))
    assert "Held: the scan is unlike those that the model was made for: distance of slices in mm 9" in page
