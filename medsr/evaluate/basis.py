"""What a figure rests on, so that an earlier run's rows are kept only where they would come out again.

A row rests on the scan's values, the level with its seed, the judged slices and window, and on code: that which
makes inputs and figures, and that of the peers or of restoration. Code counts by its syntax tree without docstrings,
so that a comment or a new line break costs no hours. Bundles count by their hash and tuned settings by their words
(see :func:`medsr.evaluate.commands.earlier_run`).
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import numpy as np

import medsr
from medsr.evaluate.cases import seed_of
from medsr.evaluate.levels import Level
from medsr.evaluate.scans import EvaluationScan

__all__ = ["Basis", "basis_of", "code_hash"]

_FIGURES = (
    "physics",
    "pipeline/degrade.py",
    "evaluate/cases.py",
    "evaluate/judge.py",
    "evaluate/metrics.py",
    "validation/haarpsi.py",
)
_PEERS = tuple(f"evaluate/peers/{name}.py" for name in ("between", "denoisers", "peer", "problem", "upsamplers"))
_RESTORATION = (
    "models/bridge.py",
    "models/engine.py",
    "models/generator.py",
    "models/inputs.py",
    "models/mixture.py",
    "models/through.py",
    "restore",
)
_ELSEWHERE = ("physics/features.py", "physics/lesions.py")
"""Of the rooms above, what no figure of a row rests on."""
_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Basis:
    """Hashes that rows of peers and of bundles rest on, at one scan and level."""

    peers: str
    bundles: str


def basis_of(
    scan: EvaluationScan, level: Level, *, slices: int, window: int | None, partner: EvaluationScan | None = None
) -> Basis:
    """The basis of a scan at a level; `partner` is the full-dose twin of a real pair."""
    facts = [f"{scan.subject} {seed_of(scan.subject, level.name)} {slices} {window}"]
    facts += [f"{field.name}={getattr(level, field.name)}" for field in fields(level)]
    for each in (scan, *([partner] if partner else [])):
        geometry = each.volume.geometry
        facts.append(f"{each.volume.modality} {geometry.shape} {geometry.slice_axis} {each.dose}")
        facts += [np.array2string(geometry.world_from_voxel, precision=5, floatmode="fixed"), _values_hash(each)]
    common = "\n".join([*facts, code_hash(_FIGURES)])
    return Basis(_short(f"{common}\n{code_hash(_PEERS)}"), _short(f"{common}\n{code_hash(_RESTORATION)}"))


@cache
def code_hash(parts: tuple[str, ...]) -> str:
    """Hash of the syntax trees of modules and rooms of medsr, docstrings left out."""
    root = Path(medsr.__file__).parent
    digest = hashlib.sha256()
    for part in parts:
        for path in _files(root / part):
            if path.relative_to(root).as_posix() in _ELSEWHERE:
                continue
            digest.update(f"{path.relative_to(root).as_posix()}\n{_tree(path)}\n".encode())
    return digest.hexdigest()


def _files(path: Path) -> Iterable[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def _tree(path: Path) -> str:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [item for item in body if not _is_text(item)]  # type: ignore[attr-defined]  # has a body
    return ast.dump(tree)


def _is_text(node: ast.AST) -> bool:
    """A docstring, or a string that documents a constant."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _values_hash(scan: EvaluationScan) -> str:
    return hashlib.sha256(np.ascontiguousarray(scan.volume.values).data).hexdigest()


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]
