"""Errors: one tree, one table of remedies, and a page of documentation that says the same."""

from __future__ import annotations

import ast
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import medsr
from medsr import errors
from medsr.errors import (
    Conflict,
    Denied,
    IntegrityError,
    MedsrError,
    MissingExtra,
    NotFound,
    Refusal,
    TransitionError,
    Unavailable,
    UsageError,
)
from medsr.remedies import REMEDIES

PACKAGE = Path(medsr.__file__).parent
CHECKOUT = Path(__file__).resolve().parent.parent
CODE = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")
ERRORS = set(errors.__all__)


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.name != "remedies.py" and "_data" not in path.parts:
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def raised() -> dict[str, str]:
    """Literal first arguments of error constructors, each with one place it stands at."""
    found = {}
    for path, tree in modules():
        for node in ast.walk(tree):
            named = isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in ERRORS
            if named and node.args and isinstance(node.args[0], ast.Constant):
                found[str(node.args[0].value)] = f"{path.relative_to(PACKAGE)}:{node.lineno}"
    return found


def literals() -> set[str]:
    """Every string constant that has the form of a code, doc strings aside: codes may travel as arguments."""
    return {
        node.value
        for _, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value)
    }


def test_every_code_that_is_raised_has_a_remedy() -> None:
    """An unknown code would end in a KeyError instead of a refusal."""
    unknown = {code: place for code, place in raised().items() if code not in REMEDIES}
    assert unknown == {}


def test_every_remedy_belongs_to_a_code_that_is_raised() -> None:
    """No code is promised that nothing raises."""
    assert sorted(set(REMEDIES) - literals()) == []


def test_codes_and_remedies_have_one_form() -> None:
    """room.fact; a remedy is one clause of advice, without a full stop, that fits a terminal line or two."""
    for code, remedy in REMEDIES.items():
        assert CODE.fullmatch(code), code
        assert 10 <= len(remedy) <= 160, code
        assert not remedy.endswith("."), code
        assert remedy[0].islower(), code


def test_the_documentation_is_the_table() -> None:
    """docs/reason-codes.md is written from the table; `python tools/reason_codes.py` writes it again."""
    tool = CHECKOUT / "tools" / "reason_codes.py"
    if not tool.is_file():
        pytest.skip("tools/ is not beside the tests: an installed copy has no documentation to compare")
    assert subprocess.run([sys.executable, str(tool), "--check"], check=False).returncode == 0


@pytest.mark.parametrize(
    ("kind", "exit_code"),
    [
        (Refusal, 5),
        (UsageError, 2),
        (MissingExtra, 2),
        (IntegrityError, 4),
        (TransitionError, 1),
        (NotFound, 2),
        (Conflict, 1),
        (Denied, 2),
        (Unavailable, 1),
    ],
)
def test_an_error_has_its_code_fact_remedy_and_exit(kind: type[MedsrError], exit_code: int) -> None:
    error = kind("io.empty", "scan.nii.gz has no bytes")
    assert str(error) == "scan.nii.gz has no bytes [io.empty]"
    assert (error.code, error.fact, error.remedy) == ("io.empty", "scan.nii.gz has no bytes", REMEDIES["io.empty"])
    assert error.exit_code == exit_code
    assert isinstance(error, MedsrError)


def test_errors_travel_between_processes() -> None:
    """The reader child and batch workers send them by pickle."""
    back = pickle.loads(pickle.dumps(Refusal("io.empty", "no bytes")))  # noqa: S301  # made on the same line
    assert (type(back), back.code, back.fact, back.remedy) == (Refusal, "io.empty", "no bytes", REMEDIES["io.empty"])


def test_the_drawn_tree_is_the_tree() -> None:
    drawn = set(re.findall(r"(?:├──|└──) (\w+)", errors.__doc__ or ""))
    assert drawn == {name for name in errors.__all__ if name != "MedsrError"}


def test_a_code_without_remedy_cannot_be_raised() -> None:
    with pytest.raises(KeyError):
        Refusal("room.unknown", "x")
