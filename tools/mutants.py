"""Apply every mutant of tests/mutants/*.toml to a copy of medsr and hold that its named test turns red.

python tools/mutants.py [ID ...]. A mutant whose test is green without the change and stays green with it has
survived; so has one whose source snippet is not found exactly once. Exit code 1 if any survived.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change to the source, and the test that must notice it."""

    id: str
    title: str
    file: str
    original: str
    mutated: str
    test: str


def read_mutants() -> list[Mutant]:
    """Every mutant, by file name and order in the file."""
    tables = [tomllib.loads(path.read_text()) for path in sorted((ROOT / "tests" / "mutants").glob("*.toml"))]
    return [Mutant(**entry) for table in tables for entry in table["mutant"]]


def passes(copy: Path, test: str) -> bool:
    """True if the test passes on the copy."""
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        copy / "pyproject.toml",
        "--rootdir",
        copy,
        copy / test,
        "-q",
        "-x",
    ]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider"], cwd=copy, env=environment, capture_output=True, check=False
    )
    if done.returncode not in (0, 1):
        sys.stderr.write(done.stdout.decode()[-2000:])
        raise SystemExit(f"{test} could not be run")
    return done.returncode == 0


def survives(mutant: Mutant, copy: Path) -> str | None:
    """Why the mutant survived, or None if its test noticed it."""
    path = copy / mutant.file
    source = path.read_text()
    if source.count(mutant.original) != 1:
        return f"its source stands {source.count(mutant.original)} times in {mutant.file}"
    if not passes(copy, mutant.test):
        return "its test fails without it"
    path.write_text(source.replace(mutant.original, mutant.mutated))
    try:
        return "its test stays green" if passes(copy, mutant.test) else None
    finally:
        path.write_text(source)


def main() -> None:
    """Print a line a mutant."""
    wanted, survivors = set(sys.argv[1:]), 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "medsr-copy"
        for name in ("medsr", "models", "validation", "tests", "docs"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        mutants = [item for item in read_mutants() if not wanted or item.id in wanted]
        for mutant in mutants:
            reason = survives(mutant, copy)
            survivors += reason is not None
            print(f"{mutant.id:>6} {'caught' if reason is None else f'SURVIVED, {reason}'}: {mutant.title}", flush=True)
    print(f"{len(mutants) - survivors} of {len(mutants)} mutants caught")
    raise SystemExit(survivors > 0)


if __name__ == "__main__":
    main()
