"""The options of `medsr restore` that choose slices and methods."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from medsr.cli import restore as command
from medsr.cli.options import slice_numbers
from medsr.errors import UsageError


@pytest.mark.parametrize(("text", "expected"), [(None, None), ("7", (7,)), ("10, 11,3", (10, 11, 3))])
def test_a_mask_is_a_list_of_slice_numbers(text: str | None, expected: tuple[int, ...] | None) -> None:
    assert slice_numbers(text) == expected


@pytest.mark.parametrize("text", ["", "1;2", "1-3", "one"])
def test_a_mask_that_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        slice_numbers(text)
    assert caught.value.code == "restore.slices"


@dataclass
class _Summary:
    word: str = "released"
    sentence: str = "said"
    report: Path = Path("report.html")


def test_every_option_reaches_the_restoration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that was asked for is dropped on the way."""
    commands = pytest.importorskip("medsr.pipeline.commands")
    seen: dict[str, object] = {}

    def restore_file(scan: Path, output: Path, **options: object) -> _Summary:
        seen.update(options, scan=scan, output=output)
        return _Summary()

    monkeypatch.setattr(commands, "restore_file", restore_file)
    app = typer.Typer()
    app.command()(command.restore)
    given = "--task superres --through 3 --method gan --fidelity 0.25 --samples 5 --seed 9 --mask 1,2 --quiet"
    given += " --second b.nii --no-probe"
    result = CliRunner().invoke(app, [str(tmp_path / "scan.nii.gz"), "-o", str(tmp_path / "out"), *given.split()])
    assert result.exit_code == 0, result.output
    wanted = {"through": 3.0, "method": "gan", "fidelity": 0.25, "samples": 5, "seed": 9, "mask": (1, 2), "scale": None}
    wanted |= {"second": Path("b.nii"), "probe": False}
    assert {name: seen[name] for name in wanted} == wanted
