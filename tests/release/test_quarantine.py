"""A reader's decision moves files and changes none of them."""

from __future__ import annotations

import hashlib
import json

import pytest
from support import results

from medsr.errors import IntegrityError, TransitionError, UsageError
from medsr.release import advance, decide_held, state_of, verify_file
from medsr.release import quarantine as quarantine_module

READER = {"reader": "A. Reader", "reason": "compared with the input"}


@pytest.fixture
def held(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return folder(tmp_path / "out", waive=False)


def folder(output, *, waive, word=b"review"):
    made, rules = results.restoration(), results.policy(waive=waive)
    judged = results.judgement(made)
    rendered = results.Rendered(b'{"gate": {"word": "' + word + b'"}}\n', b"<!doctype html>\n", b"{}\n")
    advance(
        made, judged, results.verdict(made, judged, rules), policy=rules, stored=results.stored_of(made),
        rendered=rendered, output=output,
    )  # fmt: skip
    return output


def hashes(place):
    files = sorted(path for path in place.rglob("made*") if path.is_file())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_an_approved_result_comes_out_byte_for_byte(held):
    before = hashes(held)
    made = decide_held(held, event="approve", **READER)
    assert (made.state, state_of(held)) == ("released", "released")
    assert not (held / "held").exists()
    assert hashes(held) == before
    assert verify_file(held / "made_restored.nii.gz")
    decision = json.loads((held / "release.json").read_bytes())["decisions"][0]
    assert (decision["reader"], decision["identity"], decision["reason"]) == ("A. Reader", "stated", READER["reason"])


def test_a_refused_result_keeps_the_report_only(held):
    assert decide_held(held, event="refuse", **READER).state == "rejected"
    assert hashes(held) == {}
    assert (held / "report.html").is_file()


def test_a_released_result_can_be_withdrawn_and_not_come_back(held):
    decide_held(held, event="approve", **READER)
    assert decide_held(held, event="withdraw", **READER).state == "withdrawn"
    assert not (held / "made_restored.nii.gz").exists()
    assert (held / "withdrawn" / "made_restored.nii.gz").is_file()
    assert len(json.loads((held / "release.json").read_bytes())["decisions"]) == 2
    for event in ("approve", "refuse"):
        with pytest.raises(TransitionError):
            decide_held(held, event=event, **READER)


def test_what_the_gate_released_can_be_withdrawn(tmp_path, held):
    released = folder(tmp_path / "second", waive=True, word=b"released")
    with pytest.raises(TransitionError):
        decide_held(released, event="approve", **READER)
    assert decide_held(released, event="withdraw", **READER).state == "withdrawn"


def test_m17_held_bytes_that_changed_are_never_approved(held):
    path = held / "held" / "made_restored.nii.gz"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(IntegrityError) as caught:
        decide_held(held, event="approve", **READER)
    assert caught.value.code == "record.hash"
    assert path.is_file()
    assert state_of(held) == "review"


def test_an_edited_decision_is_found(held):
    decide_held(held, event="refuse", **READER)
    path = held / "release.json"
    path.write_bytes(path.read_bytes().replace(b'"rejected"', b'"review"'))
    with pytest.raises(IntegrityError):
        state_of(held)


@pytest.mark.parametrize("stop_after", [0, 1, 2])
def test_an_interrupted_approval_is_finished_by_the_next(held, monkeypatch, stop_after):
    before, done = hashes(held), []
    rename = quarantine_module.Path.rename

    def interrupted(self, target):
        if len(done) >= stop_after:
            raise KeyboardInterrupt
        done.append(self)
        return rename(self, target)

    monkeypatch.setattr(quarantine_module.Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        decide_held(held, event="approve", **READER)
    monkeypatch.setattr(quarantine_module.Path, "rename", rename)
    assert decide_held(held, event="approve", **READER).state == "released"
    assert hashes(held) == before
    assert not (held / "held").exists()
    assert len(json.loads((held / "release.json").read_bytes())["decisions"]) == 1


@pytest.mark.parametrize("broken", [{"reader": " "}, {"reason": ""}, {"reason": "x" * 501}, {"reader": "a\nb"}])
def test_a_decision_needs_a_name_and_a_reason(held, broken):
    with pytest.raises(UsageError) as caught:
        decide_held(held, event="approve", **{**READER, **broken})
    assert caught.value.code == "release.decision"
    assert state_of(held) == "review"


def test_a_folder_without_a_result_is_said(tmp_path):
    with pytest.raises(UsageError) as caught:
        decide_held(tmp_path, event="approve", **READER)
    assert caught.value.code == "release.none"


def test_a_report_without_a_word_is_damaged(held):
    (held / "report.json").write_text("{}")
    with pytest.raises(IntegrityError):
        state_of(held)
