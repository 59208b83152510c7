"""Named places at which a test can make a process die, raise, fill its disk, stop or wait.

``MEDSR_FAIL=point:n:action[,point:n:action...]`` acts the n-th time this process passes `point` (0: every time).
Actions: kill (SIGKILL), raise, enospc, stop (SIGSTOP), delay or delay=SECONDS. Unset, a fail-point is one look-up.
``python -m medsr.resources.failpoints`` lists them from the code.
"""

from __future__ import annotations

import ast
import errno
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from medsr.errors import UsageError

__all__ = ["FailpointError", "failpoint", "failpoints"]

_ACTIONS = ("kill", "raise", "enospc", "stop", "delay")
_DELAY_S = 1.0
_PASSED: Counter[str] = Counter()


class FailpointError(Exception):
    """What the action ``raise`` raises."""


@dataclass(frozen=True, slots=True)
class _Plan:
    nth: int
    action: str
    seconds: float = _DELAY_S


def failpoint(point: str) -> None:
    """Pass a named place; does nothing unless MEDSR_FAIL names it.

    Raises
    ------
    FailpointError, OSError : as planned.
    UsageError : ``failpoint.plan``, if MEDSR_FAIL cannot be read.
    """
    text = os.environ.get("MEDSR_FAIL")
    if not text:
        _PASSED.clear()
        return
    plan = _plans(text).get(point)
    if plan is None:
        return
    _PASSED[point] += 1
    if plan.nth in (0, _PASSED[point]):
        _act(point, plan)


def failpoints(package: Path | None = None) -> dict[str, str]:
    """Every fail-point of the code, with the module and line it stands at.

    Parameters
    ----------
    package : folder of the sources; medsr's own unless given.
    """
    root = package or Path(__file__).resolve().parent.parent
    found: dict[str, str] = {}
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "failpoint"
            if named and isinstance(node, ast.Call) and isinstance(node.args[0], ast.Constant):
                found[str(node.args[0].value)] = f"{path.relative_to(root.parent).as_posix()}:{node.lineno}"
    return found


@cache
def _plans(text: str) -> Mapping[str, _Plan]:
    plans = {}
    for item in text.split(","):
        point, _, rest = item.partition(":")
        nth, _, action = rest.partition(":")
        name, _, seconds = action.partition("=")
        try:
            plans[point] = _Plan(int(nth), name, float(seconds) if seconds else _DELAY_S)
        except ValueError as error:
            raise UsageError("failpoint.plan", "MEDSR_FAIL is point:n:action, with commas between") from error
        if name not in _ACTIONS:
            raise UsageError("failpoint.plan", f"MEDSR_FAIL knows {', '.join(_ACTIONS)}")
    return MappingProxyType(plans)


def _act(point: str, plan: _Plan) -> None:
    if plan.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif plan.action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif plan.action == "delay":
        time.sleep(plan.seconds)
    elif plan.action == "enospc":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), point)
    else:
        raise FailpointError(point)


if __name__ == "__main__":
    for name, place in sorted(failpoints().items()):
        sys.stdout.write(f"{name:24} {place}\n")
