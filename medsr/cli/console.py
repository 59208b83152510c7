"""What the commands share on a terminal: exit codes, messages, progress, JSON."""

from __future__ import annotations

import json
import logging
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import typer

from medsr.errors import MedsrError

__all__ = [
    "EXIT_BATCH",
    "EXIT_HELD",
    "EXIT_INTERNAL",
    "EXIT_INTERRUPTED",
    "EXIT_OF_WORD",
    "EXIT_REJECTED",
    "command_typed",
    "progress_bar",
    "progress_words",
    "say",
    "say_error",
    "set_verbosity",
    "write_json",
]

EXIT_INTERNAL, EXIT_HELD, EXIT_REJECTED, EXIT_BATCH, EXIT_INTERRUPTED = 1, 3, 4, 6, 130

EXIT_OF_WORD: Mapping[str, int] = {
    "released": 0,
    "review": EXIT_HELD,
    "rejected": EXIT_REJECTED,
    "blocked": EXIT_REJECTED,
    "withdrawn": EXIT_REJECTED,
}
"""Exit code of the gate's word."""

_LINE_SECONDS = 10.0

Tick = Callable[[int, int], None]


def say(text: str, *, quiet: bool = False) -> None:
    """A message for a person: on stderr, so that stdout holds results alone."""
    if not quiet:
        typer.echo(text, err=True)


def say_error(error: MedsrError) -> None:
    """One line with the reason code and the figure, one with the remedy."""
    kind = "refused" if error.exit_code == 5 else "error"
    typer.echo(f"{kind}[{error.code}]: {error.fact}", err=True)
    typer.echo(f"remedy: {error.remedy}", err=True)


def write_json(document: Mapping[str, object]) -> None:
    """One JSON document on stdout."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


def set_verbosity(*, verbose: bool) -> None:
    """With -v, log what medsr does, and tracebacks of internal errors, to stderr."""
    if verbose:
        logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(name)s: %(message)s")
        logging.getLogger("medsr").setLevel(logging.DEBUG)


def command_typed() -> str:
    """The command line of this process, to stand beside the figures it prints."""
    return shlex.join(["medsr", *(_shown(argument) for argument in sys.argv[1:])])


@contextmanager
def progress_bar(title: str, *, quiet: bool = False) -> Iterator[Tick]:
    """A bar with remaining time on a terminal, one line every ten seconds without one.

    Yields a function of (done, total).
    """
    if quiet:
        yield _silent
    elif sys.stderr.isatty():
        with _bar(title) as tick:
            yield tick
    else:
        yield _lines(title)


@contextmanager
def progress_words(title: str, *, quiet: bool = False) -> Iterator[Callable[[int, int, str], None]]:
    """As :func:`progress_bar`, for work that has more to say: a function of (done, total, words)."""
    if quiet or not sys.stderr.isatty():
        words = [""]
        tick = _silent if quiet else _lines(title, words)

        def line(done: int, total: int, text: str) -> None:
            words[0] = f", {text}"
            tick(done, total)

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total, text: progress.update(
            task, completed=done, total=total, description=f"{title}: {text}"
        )


def _silent(done: int, total: int) -> None:
    """No progress is shown."""


@contextmanager
def _bar(title: str) -> Iterator[Tick]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _lines(title: str, words: list[str] | None = None) -> Tick:
    started = time.monotonic()
    last = [started]

    def tick(done: int, total: int) -> None:
        now = time.monotonic()
        if done < total and now - last[0] < _LINE_SECONDS:
            return
        last[0] = now
        remaining = (now - started) / max(done, 1) * (total - done)
        typer.echo(f"{title}: {done}/{total}, about {remaining:.0f} s left{words[0] if words else ''}", err=True)

    return tick


def _shown(argument: str) -> str:
    """An argument as it stands in a document: absolute paths by their last two names, for no machine has the others."""
    path = Path(argument)
    return "/".join(path.parts[-2:]) if path.is_absolute() else argument
