"""Choosing each peer's setting on training scans, so that no peer is judged on what it was tuned on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from medsr.errors import MissingExtra
from medsr.evaluate.cases import Case, cases_of
from medsr.evaluate.judge import Judge
from medsr.evaluate.levels import Level
from medsr.evaluate.methods import PeerChoice, peers_for
from medsr.evaluate.peers.peer import Peer, Setting, finished, require, settings_of
from medsr.evaluate.peers.problem import Problem
from medsr.evaluate.peers.settings import Tuned
from medsr.evaluate.scans import read_folder

__all__ = ["best_setting", "tune_folders"]

Log = Callable[[str], None]
Scores = dict[Setting, dict[str, list[float]]]


def tune_folders(
    folders: tuple[Path, ...],
    *,
    levels: tuple[Level, ...],
    slices: int,
    names: tuple[str, ...] = (),
    peers: PeerChoice = "all",
    window: int | None = None,
    log: Log,
) -> list[Tuned]:
    """The best setting of every peer at every level, by the mean over subjects of the level's metric.

    Peers without a free parameter are left out. `names` picks the scans, by their beginnings; `window` as in
    :func:`medsr.evaluate.cases.cases_of`.
    """
    scans = [scan for folder in folders for scan in read_folder(folder, names=names, alone=False)[0]]
    tuned = []
    for level in levels:
        cases = [
            case
            for scan in scans
            if scan.role == "domain"
            for case in cases_of(scan, (level,), slices=slices, window=window)
        ]
        for peer in peers_for(level, peers) if cases else ():
            if len(peer.strengths) == 1 and not peer.denoises:
                continue
            try:
                require(peer)
            except MissingExtra as error:
                log(f"left out {error.fact}")
                continue
            found = best_setting(peer, level, cases)
            log(f"{level.name}, {peer.name}: {found.setting.words()} gives {found.score:.2f}")
            tuned.append(found)
    return tuned


def best_setting(peer: Peer, level: Level, cases: list[Case]) -> Tuned:
    """The setting of best mean score; each strength is run once, corrections and blends are tried on its result."""
    scores: Scores = {}
    for case in cases:
        judge, problem = Judge(case), Problem.of(case)
        blends = (problem.dose,) if problem.dose else ()
        raw = {strength: peer.run(problem, strength) for strength in peer.strengths}
        for setting in settings_of(peer, problem, blends=blends):
            score = judge.score(finished(raw[setting.strength], problem, setting))
            scores.setdefault(setting, {}).setdefault(case.scan.subject, []).append(score)
    means = {setting: _mean(by_subject) for setting, by_subject in scores.items()}
    pick = max if level.larger_is_better else min
    best = pick(means, key=lambda setting: means[setting])
    return Tuned(level.name, peer.name, best, means[best], len(scores[best]))


def _mean(by_subject: dict[str, list[float]]) -> float:
    return float(np.mean([np.mean(values) for values in by_subject.values()]))
