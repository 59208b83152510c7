"""What `medsr evaluate` does with files: run, and write Markdown, JSON and a figure; or tune the peers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from medsr.errors import UsageError
from medsr.evaluate.draws import DrawRow
from medsr.evaluate.evaluate import Earlier, Evaluation, EvaluationRequest, evaluate
from medsr.evaluate.figure import figure_svg
from medsr.evaluate.judge import Row
from medsr.evaluate.levels import levels_named
from medsr.evaluate.methods import BEST_NLM, UNTUNED, MethodChoice, PeerChoice
from medsr.evaluate.peers.settings import default_file, load_settings, toml_text
from medsr.evaluate.tables import document, markdown, provenance_line
from medsr.evaluate.tune import tune_folders
from medsr.models import catalogue
from medsr.resources import write_bytes

__all__ = ["EvaluateRequest", "earlier_run", "evaluate_files", "tune_file"]

Log = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class EvaluateRequest:
    """Folders and options of one evaluation.

    resume takes up the rows that an earlier run left beside `output`; command is what the user typed, for the record.
    """

    folders: tuple[Path, ...]
    output: Path | None = None
    levels: tuple[str, ...] = ()
    slices: int = 6
    only: tuple[str, ...] = ()
    peers: PeerChoice = "fast"
    best_nlm: bool = False
    draws: int = 0
    window: int | None = None
    settings: Path | None = None
    resume: bool = False
    command: str = "medsr evaluate"


def evaluate_files(request: EvaluateRequest, *, log: Log) -> tuple[str, dict[str, object]]:
    """Evaluate and write what is asked for; returns the Markdown and the JSON document.

    Raises
    ------
    UsageError : ``evaluate.no_scans``, ``evaluate.level``.
    Refusal : ``evaluate.settings``.
    """
    settings = load_settings(request.settings or default_file())
    wanted = EvaluationRequest(
        folders=request.folders,
        choice=MethodChoice(request.peers, best_nlm=request.best_nlm, settings=settings),
        levels=levels_named(request.levels),
        slices=request.slices,
        names=request.only,
        draws=request.draws,
        window=request.window,
    )
    output = request.output
    done = earlier_run(output.with_suffix(".json"), wanted) if output and request.resume else None
    found = evaluate(wanted, log=log, done=done, keep=lambda part: _keep(part, request))
    text, record = markdown(found, command=request.command), document(found, command=request.command)
    if output is not None:
        write_bytes(output, text.encode())
        write_bytes(output.with_suffix(".json"), _json(record))
        write_bytes(output.with_suffix(".svg"), figure_svg(found))
    return text, record


def earlier_run(path: Path, wanted: EvaluationRequest) -> Earlier:
    """What an earlier run left in its JSON document.

    A bundle's figures count only if the very same bundle is installed today, a peer's only at its setting of today.
    """
    record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    installed = {bundle.sha256[:12] for bundle in catalogue.installed()}
    groups: dict[tuple[str, str], dict[str, Row]] = {}
    for entry in record.get("rows", []):
        row = Row(**entry)
        if row.bundle in installed or (not row.bundle and _as_set(row, wanted.choice)):
            groups.setdefault((row.case, row.level), {})[row.method] = row
    draws = [DrawRow(**entry) for entry in record.get("draws", [])]
    return Earlier(groups, [row for row in draws if row.bundle in {"", *installed}])


def _as_set(row: Row, choice: MethodChoice) -> bool:
    """True if a peer's row stands at today's setting; where nothing was tuned it says so, or has no setting."""
    if row.method == BEST_NLM or not row.setting:
        return True
    tuned = choice.settings.get((row.level, row.method))
    return row.setting.endswith(UNTUNED) if tuned is None else row.setting == tuned.words()


def tune_file(request: EvaluateRequest, *, log: Log) -> str:
    """Tune the peers on the scans of the folders, which must be training scans; returns (and writes) the settings.

    Raises
    ------
    UsageError : ``evaluate.no_scans``, ``evaluate.level``, ``evaluate.tune``.
    """
    if request.output is not None and request.output.suffix != ".toml":
        raise UsageError("evaluate.tune", f"settings are TOML, not {request.output.suffix or 'without a suffix'}")
    tuned = tune_folders(
        request.folders,
        levels=levels_named(request.levels),
        slices=request.slices,
        names=request.only,
        peers=request.peers,
        window=request.window,
        log=log,
    )
    text = toml_text(tuned, provenance=provenance_line(request.command))
    if request.output is not None:
        write_bytes(request.output, text.encode())
    return text


def _keep(part: Evaluation, request: EvaluateRequest) -> None:
    if request.output is not None:
        write_bytes(request.output.with_suffix(".json"), _json(document(part, command=request.command)))


def _json(record: dict[str, object]) -> bytes:
    return (json.dumps(record, indent=1) + "\n").encode()
