"""A missed bar stands with what was tried for it, compared by subject; a met one does not stand."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from support.evaluate_rows import row

from medsr.errors import UsageError
from medsr.evaluate.tried import Trial, kept, read_rows, read_trials, tried

LEVEL = "MR x2"
NOW = [row("a", "a", "cubic", 26, level=LEVEL), row("a", "a", "net", 25.5, level=LEVEL, bundle="y")]
BEFORE = (row("a", "a", "net", 25.2, level=LEVEL, bundle="x"),)


def test_a_missed_bar_names_its_trials_and_how_many_are_left() -> None:
    text = tried({"mri": NOW}, [Trial("net", "Longer", BEFORE, tuple(NOW[1:]))])
    assert "## mri: 1 bars missed" in text
    assert "**MR x2, net: the best classical peer.** Reached: -0.50 dB to cubic, n = 1." in text
    assert "- Longer: better by +0.30 dB (+0.30)" in text
    assert "- 1 more to be tried." in text


def test_a_bundle_compared_with_itself_is_no_trial() -> None:
    assert "- 2 more to be tried." in tried({"mri": NOW}, [Trial("net", "Nothing", tuple(NOW[1:]), tuple(NOW[1:]))])


def test_a_met_bar_needs_nothing() -> None:
    better = [NOW[0], replace(NOW[1], score=27)]
    assert "0 bars missed" in tried({"mri": better}, [])


def test_trials_are_read_from_documents(tmp_path: Path) -> None:
    for name, rows in (("before", BEFORE), ("after", NOW)):
        (tmp_path / f"{name}.json").write_text(json.dumps({"printed": "p", "rows": [asdict(item) for item in rows]}))
    (tmp_path / "kept.json").write_bytes(kept(tmp_path / "after.json"))
    assert [item.method for item in read_rows(tmp_path / "kept.json")] == ["net"]
    listed = tmp_path / "trials.toml"
    listed.write_text('[[trial]]\nwhat = "w"\nbundles = ["net"]\nbefore = "before.json"\nafter = "kept.json"\n')
    (found,) = read_trials(listed, tmp_path)
    assert (found.before[0].score, found.after[0].score) == (25.2, 25.5)
    listed.write_text("[[trial]]\n")
    for deed in (lambda: read_trials(listed, tmp_path), lambda: read_rows(tmp_path / "none.json")):
        with pytest.raises(UsageError) as caught:
            deed()
        assert caught.value.code == "models.figures"
