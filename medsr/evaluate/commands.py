"""What `medsr evaluate` does with files: run, and write Markdown, JSON and a figure; or tune the peers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from medsr.errors import UsageError
from medsr.evaluate.evaluate import Evaluation, evaluate_folder
from medsr.evaluate.levels import levels_named
from medsr.evaluate.methods import MethodChoice, PeerChoice
from medsr.evaluate.peers.settings import default_file, load_settings, toml_text
from medsr.evaluate.tables import document, markdown, provenance_line
from medsr.evaluate.tune import tune_folder
from medsr.resources import write_bytes

__all__ = ["EvaluateRequest", "evaluate_files", "tune_file"]

Log = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class EvaluateRequest:
    """Folder and options of one evaluation. command is what the user typed, for the record."""

    folder: Path
    output: Path | None = None
    levels: tuple[str, ...] = ()
    slices: int = 6
    only: tuple[str, ...] = ()
    peers: PeerChoice = "fast"
    best_nlm: bool = False
    settings: Path | None = None
    command: str = "medsr evaluate"


def evaluate_files(request: EvaluateRequest, *, log: Log) -> tuple[str, dict[str, object]]:
    """Evaluate and write what is asked for; returns the Markdown and the JSON document.

    Raises
    ------
    UsageError : ``evaluate.no_scans``, ``evaluate.level``.
    Refusal : ``evaluate.settings``.
    """
    settings = load_settings(request.settings or default_file())
    choice = MethodChoice(request.peers, best_nlm=request.best_nlm, settings=settings)
    evaluation = evaluate_folder(
        request.folder,
        levels=levels_named(request.levels),
        slices=request.slices,
        names=request.only,
        choice=choice,
        log=log,
    )
    text, record = markdown(evaluation, command=request.command), document(evaluation, command=request.command)
    if request.output is not None:
        _write(request.output, text, record, evaluation)
    return text, record


def tune_file(request: EvaluateRequest, *, log: Log) -> str:
    """Tune the peers on the scans of the folder, which must be training scans; returns (and writes) the settings.

    Raises
    ------
    UsageError : ``evaluate.no_scans``, ``evaluate.level``, ``evaluate.tune``.
    """
    if request.output is not None and request.output.suffix != ".toml":
        raise UsageError("evaluate.tune", f"settings are TOML, not {request.output.suffix or 'without a suffix'}")
    tuned = tune_folder(
        request.folder,
        levels=levels_named(request.levels),
        slices=request.slices,
        names=request.only,
        peers=request.peers,
        log=log,
    )
    text = toml_text(tuned, provenance=provenance_line(request.command))
    if request.output is not None:
        write_bytes(request.output, text.encode())
    return text


def _write(path: Path, text: str, record: dict[str, object], evaluation: Evaluation) -> None:
    from medsr.evaluate.figure import figure_svg

    write_bytes(path, text.encode())
    write_bytes(path.with_suffix(".json"), (json.dumps(record, indent=1) + "\n").encode())
    write_bytes(path.with_suffix(".svg"), figure_svg(evaluation))
