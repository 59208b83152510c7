"""A row of an earlier run is kept where it would come out again, and only there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.evaluate_rows import row
from support.volumes import mr_volume

from medsr.evaluate import basis as module
from medsr.evaluate import evaluate as walker
from medsr.evaluate.basis import basis_of, code_hash
from medsr.evaluate.evaluate import Earlier, Evaluation, EvaluationRequest, evaluate
from medsr.evaluate.judge import Row
from medsr.evaluate.levels import LEVELS
from medsr.evaluate.methods import MethodChoice
from medsr.evaluate.scans import EvaluationScan

SCAN = EvaluationScan("scan", "someone", "domain", "unseen", mr_volume((48, 40, 5)))
LEVEL = next(level for level in LEVELS if level.name == "MR denoise 9 %")


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of one module, hashed in place of medsr."""
    (tmp_path / "part").mkdir()
    path = tmp_path / "part" / "law.py"
    path.write_text('"""Says."""\n\n\ndef law(x):\n    """Doubles."""\n    return 2 * x\n')
    monkeypatch.setattr(module.medsr, "__file__", str(tmp_path / "__init__.py"))
    code_hash.cache_clear()
    yield path
    code_hash.cache_clear()


def _hash() -> str:
    code_hash.cache_clear()
    return code_hash(("part",))


def test_words_about_code_change_nothing_and_code_does(code: Path) -> None:
    before = _hash()
    code.write_text('"""Says more."""\n\n# why\ndef law(x):\n    """Twice."""\n    return (2 *\n            x)\n')
    assert _hash() == before
    code.write_text("def law(x):\n    return 3 * x\n")
    assert _hash() != before


def test_a_basis_holds_scan_level_slices_and_window() -> None:
    whole = basis_of(SCAN, LEVEL, slices=2, window=None)
    assert basis_of(SCAN, LEVEL, slices=2, window=None) == whole
    brighter = replace(SCAN, volume=replace(SCAN.volume, values=SCAN.volume.values + 1))
    others = [
        basis_of(SCAN, LEVEL, slices=3, window=None),
        basis_of(SCAN, LEVEL, slices=2, window=160),
        basis_of(brighter, LEVEL, slices=2, window=None),
        basis_of(replace(SCAN, subject="other"), LEVEL, slices=2, window=None),
        basis_of(SCAN, replace(LEVEL, noise="8%"), slices=2, window=None),
        basis_of(SCAN, LEVEL, slices=2, window=None, partner=SCAN),
    ]
    assert len({whole.peers, *(other.peers for other in others)}) == 7
    assert whole.peers != whole.bundles


def _run(monkeypatch: pytest.MonkeyPatch, earlier: Row, kept: list[Evaluation]) -> tuple[Row, list[str]]:
    """One scan, one level, the input alone; a row of a scan still to come stands in what is kept."""
    monkeypatch.setattr(walker, "_read", lambda _: ([SCAN], []))
    monkeypatch.setattr(walker, "planned", lambda *_, **__: ["input"])
    later = row("later", "later", "input", 1.0, level=LEVEL.name)
    done = Earlier({("scan", LEVEL.name): {"input": earlier}, ("later", LEVEL.name): {"input": later}})
    request = EvaluationRequest((), MethodChoice("none", best_nlm=False, settings={}), levels=(LEVEL,), slices=1)
    said: list[str] = []
    found = evaluate(request, log=said.append, done=done, keep=kept.append)
    return found.rows[0], said


def test_a_row_on_the_same_basis_is_kept_and_any_other_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = basis_of(SCAN, LEVEL, slices=1, window=None).peers
    earlier = replace(row("scan", "someone", "input", 12.0, level=LEVEL.name), basis=now)
    found, said = _run(monkeypatch, earlier, [])
    assert (found.score, found.scanner, said) == (12.0, "unseen", [])
    found, said = _run(monkeypatch, replace(earlier, basis="0"), [])
    assert found.score != 12.0
    assert found.basis == now
    assert said[0].endswith("; 0 rows kept")


def test_an_interrupted_run_loses_no_row_of_scans_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Evaluation] = []
    _run(monkeypatch, row("scan", "someone", "input", 12.0, level=LEVEL.name), kept)
    assert [entry.case for entry in kept[0].rows] == ["scan", "later"]
