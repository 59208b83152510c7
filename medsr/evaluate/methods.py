"""The methods of a level: the input, classical peers, and every installed bundle that does the task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from medsr.errors import MissingExtra, UsageError
from medsr.evaluate.cases import Case, stack_of
from medsr.evaluate.judge import Judge, Row, Spread
from medsr.evaluate.levels import Level
from medsr.evaluate.peers.between import BETWEEN
from medsr.evaluate.peers.denoisers import DENOISERS, NLM
from medsr.evaluate.peers.peer import Peer, Setting, finished, require
from medsr.evaluate.peers.problem import Problem
from medsr.evaluate.peers.settings import setting_for
from medsr.evaluate.peers.upsamplers import UPSAMPLERS
from medsr.evaluate.resources import Used, measured
from medsr.models.bundle import Bundle, find_bundle
from medsr.restore.request import Method, RestoreRequest
from medsr.restore.restore import restore

__all__ = [
    "BEST_NLM",
    "METHODS",
    "UNTUNED",
    "MethodChoice",
    "PeerChoice",
    "bundle_for",
    "method_row",
    "peers_for",
    "planned",
]

Array = npt.NDArray[np.float32]
PeerChoice = Literal["none", "fast", "all"]
Log = Callable[[str], None]

BEST_NLM = "NLM 3-D, best for this scan"
"""Non-local means at the setting that the reference itself chooses, scan by scan: stricter than any tuning."""

UNTUNED = ", untuned"
"""After the words of a setting that nobody tuned."""

_BLENDS_CT = (0.1, 0.25, 0.4)


@dataclass(frozen=True, slots=True)
class MethodChoice:
    """Which methods run.

    best_nlm adds :data:`BEST_NLM`; settings are the peers' tuned ones.
    """

    peers: PeerChoice
    best_nlm: bool
    settings: Mapping[tuple[str, str], Setting]


def peers_for(level: Level, choice: PeerChoice) -> tuple[Peer, ...]:
    """The peers of a level; slow ones only where all are wanted, and at least what stands for the input."""
    if level.task == "denoise":
        peers = DENOISERS
    elif level.keep:
        peers = BETWEEN
    elif level.through:
        peers = tuple(peer for peer in BETWEEN if peer.name != "TVL1 flow")
    else:
        peers = UPSAMPLERS
    if choice == "none":
        return () if level.task == "denoise" else peers[:1]
    return tuple(peer for peer in peers if choice == "all" or not peer.slow)


def planned(level: Level, choice: MethodChoice, *, log: Log) -> list[str]:
    """Names of the methods that run at a level, in the order of the tables; what cannot run is said."""
    names = ["input"] if level.task == "denoise" else []
    for peer in peers_for(level, choice.peers):
        try:
            require(peer)
        except MissingExtra as error:
            log(f"skipped {peer.name}: {error.fact}")
            continue
        names.append(peer.name)
    if choice.best_nlm and level.task == "denoise":
        names.append(BEST_NLM)
    for method in METHODS:
        bundle = bundle_for(level, method)
        if bundle is None:
            plane = "through plane" if level.through_plane else "in plane"
            log(f"no {method} bundle is installed for {level.modality} {plane}, {level.task}")
        else:
            names.append(bundle.name)
    return names


def method_row(name: str, case: Case, judge: Judge, problem: Problem, choice: MethodChoice) -> Row:
    """The row of one planned method."""
    if name == "input":
        return judge.row("input", problem.values, Used(0.0, None))
    if name == BEST_NLM:
        return _best_nlm(problem, judge)
    peer = next((peer for peer in peers_for(case.level, "all") if peer.name == name), None)
    if peer is not None:
        return _peer_row(peer, case, judge, problem, choice)
    for method in METHODS:
        bundle = bundle_for(case.level, method)
        if bundle is not None and bundle.name == name:
            return restored_row(case, judge, method, bundle)
    raise ValueError(f"{name} is not among the methods of {case.level.name}")


def _peer_row(peer: Peer, case: Case, judge: Judge, problem: Problem, choice: MethodChoice) -> Row:
    setting, tuned = setting_for(peer, case.level.name, choice.settings, problem=problem)
    image, used = measured(lambda: peer.run(problem, setting.strength))
    free = len(peer.strengths) > 1 or peer.denoises
    words = setting.words() + ("" if tuned else UNTUNED) if free else ""
    return judge.row(peer.name, finished(image, problem, setting), used, setting=words)


def _best_nlm(problem: Problem, judge: Judge) -> Row:
    """Climb along the strengths from the middle one; correction and blend are chosen at each for nothing."""
    blends = (problem.dose, *_BLENDS_CT) if problem.dose else ()
    tried: dict[int, tuple[float, Array, Setting]] = {}

    def at(index: int) -> float:
        if index not in tried:
            raw = NLM.run(problem, NLM.strengths[index])
            options = [
                Setting(NLM.strengths[index], corrected, blend)
                for corrected in ((False, True) if problem.magnitude else (False,))
                for blend in (0.0, *blends)
            ]
            images = [(finished(raw, problem, setting), setting) for setting in options]
            tried[index] = min(((judge.error(image), image, setting) for image, setting in images), key=lambda t: t[0])
        return tried[index][0]

    def climb() -> int:
        best = len(NLM.strengths) // 2
        for step in (1, -1):
            while 0 <= best + step < len(NLM.strengths) and at(best + step) < at(best):
                best += step
        return best

    best, used = measured(climb)
    _, image, setting = tried[best]
    return judge.row(BEST_NLM, image, used, setting=setting.words())


def bundle_for(level: Level, method: Method) -> Bundle | None:
    """The installed bundle that does a level by a method; None where there is none."""
    try:
        return find_bundle(level.modality, task=level.task, method=method, through_plane=level.through_plane)
    except UsageError:
        return None


def restored_row(case: Case, judge: Judge, method: Method, bundle: Bundle) -> Row:
    """The row of one bundle."""
    thick: dict[str, Any] = {} if case.level.through is None else {"through": case.level.through}
    request = RestoreRequest(case.level.task, scale=case.level.scale, method=method, **thick)
    restored, used = measured(lambda: restore(case.degraded, request, bundle=bundle))
    spread = None
    if restored.spread is not None and restored.model is not None and restored.model.samples:
        spread = Spread(stack_of(restored.spread, case.reference), restored.model.samples)
    image = stack_of(restored.image, case.reference)
    return judge.row(bundle.name, image, used, bundle=bundle.sha256[:12], spread=spread)


METHODS: tuple[Method, ...] = get_args(Method)
