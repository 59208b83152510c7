"""The goals that the gate is measured by, with figure, interval and a word: pass, fail, or not judged."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from scipy.stats import norm

from medsr.evaluate.challenge import Challenge
from medsr.evaluate.challenge_arms import Trial
from medsr.validation.calibration import FEWEST_SUBJECTS, ScoredSubject, certify
from medsr.validation.intervals import clopper_pearson, cluster_bootstrap, poisson_interval

__all__ = ["Goal", "goals_of", "goals_table", "shares_table", "simulated_coverage"]

COVERAGE_DRAWS = 10_000
_BETA, _SUBJECTS = 0.05, 59
_LEAST_FOUND, _LEAST_LOW, _MOST_FLAGS = 0.95, 0.90, 0.2
_LEAST_PAIRS, _AUC_WITHIN = 712, 0.03


@dataclass(frozen=True, slots=True)
class Goal:
    """A line of the table; reached is None where nothing was measured."""

    name: str
    wanted: str
    figure: str
    reached: bool | None

    @property
    def word(self) -> str:
        """pass, fail or not judged."""
        return "not judged" if self.reached is None else "pass" if self.reached else "fail"


def goals_of(
    challenge: Challenge,
    *,
    records: Sequence[str] = (),
    references: Path | None = None,
    draws: int = COVERAGE_DRAWS,
) -> list[Goal]:
    """V1, V2, V4 to V7 and V10 to V12, as far as this challenge can tell.

    Parameters
    ----------
    records : sentences of calibration records that carry a promise.
    references : JSON of what the published outputs showed: an object of ``V5`` and ``V11``, each with ``figure`` (text)
        and ``reached`` (true or false).
    draws : simulated calibrations of V10.
    """
    goals: list[Goal] = []
    for modality in dict.fromkeys(twin.modality for twin in challenge.twins):
        goals += _found_goals(challenge, modality)
        trials = [trial for trial in challenge.trials if trial.modality == modality]
        goals += [goal for judge in _BY_ARM for goal in judge(trials, modality)]
        goals.append(_speed(challenge, modality))
    goals += _from_elsewhere(references)
    goals.append(_coverage(records, draws))
    return goals


def goals_table(goals: Sequence[Goal]) -> list[str]:
    """As Markdown."""
    lines = ["| goal | wanted | measured | |", "|---|---|---|---|"]
    return lines + [f"| {goal.name} | {goal.wanted} | {goal.figure} | {goal.word} |" for goal in goals]


def shares_table(trials: Sequence[Trial]) -> list[str]:
    """Every arm beside insertion and omission: how often the gate did right, and what it read."""
    lines = ["| modality | arm | what | right | share | 95 % | 95 % of subjects | mean reading | truth | subjects |"]
    lines.append("|---|---|---|---|---|---|---|---|---|---|")
    for modality, arm, what in dict.fromkeys((item.modality, item.arm, item.what) for item in trials):
        chosen = [item for item in trials if (item.modality, item.arm, item.what) == (modality, arm, what)]
        hits = sum(item.right for item in chosen)
        low, high = clopper_pearson(hits, len(chosen))
        first, last = _clusters(chosen)
        value, truth = (_mean([getattr(item, name) for item in chosen]) for name in ("value", "truth"))
        cells = [modality, arm, what, f"{hits} of {len(chosen)}", f"{100 * hits / len(chosen):.0f} %"]
        cells += [f"{100 * low:.0f} to {100 * high:.0f} %", f"{100 * first:.0f} to {100 * last:.0f} %"]
        cells += [f"{value:.3g}", "" if math.isnan(truth) else f"{truth:.3g}", str(len({i.subject for i in chosen}))]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def simulated_coverage(draws: int = COVERAGE_DRAWS, *, seed: int = 0) -> float:
    """Share of simulated calibrations (59 subjects, beta 5 %) whose true miss rate stays below beta."""
    rng, broken = np.random.default_rng(seed), 0
    for _ in range(draws):
        scores = rng.normal(9, 1.5, _SUBJECTS)
        subjects = [ScoredSubject(str(number), 0.0, float(score)) for number, score in enumerate(scores)]
        threshold = certify(subjects, beta=_BETA).threshold
        if threshold is not None:
            broken += bool(norm.cdf((threshold - 9) / 1.5) > _BETA)
    return 1 - broken / draws


def _found_goals(challenge: Challenge, modality: str) -> list[Goal]:
    outcomes = [item for item in challenge.outcomes if item.modality == modality]
    twins = [item for item in challenge.twins if item.modality == modality]
    flags, slices = sum(item.findings for item in twins), sum(item.slices for item in twins)
    low, high = poisson_interval(flags, slices) if slices else (0.0, math.inf)
    rate = flags / slices if slices else math.nan
    clean = f"{rate:.2f} false flags a slice ({low:.2f} to {high:.2f}, n {slices})"
    if not outcomes:
        return [Goal(f"V1 {modality}", "lesions found", clean, None)]
    hits, lower, text = _share([item.found for item in outcomes])
    eight = _share([item.found for item in outcomes if item.dprime == 8])[2]
    reached = hits >= _LEAST_FOUND and lower >= _LEAST_LOW and rate <= _MOST_FLAGS
    wanted = "d' 8, 10, 12 pooled >= 95 % (lower bound 90) at <= .2 false flags a slice"
    return [Goal(f"V1 {modality}", wanted, f"{text}; d' 8 alone {eight}; {clean}", reached)]


def _input_goal(trials: Sequence[Trial], modality: str) -> list[Goal]:
    goals = []
    for size, most in (("8 px", 0.02), ("4 px", 0.05)):
        chosen = [item for item in trials if item.arm == "input" and item.what.endswith(size)]
        wanted = f"silent loss of d' >= 8, {size}: <= {100 * most:.0f} %"
        if not chosen:
            goals.append(Goal(f"V2 {modality} {size}", wanted, "", None))
            continue
        share, _, text = _share([not item.right for item in chosen])
        goals.append(Goal(f"V2 {modality} {size}", wanted, text, share <= most))
    return goals


def _null_goal(trials: Sequence[Trial], modality: str) -> list[Goal]:
    wanted = f"leak AUC .50 +- .03 on >= {_LEAST_PAIRS} pairs, paired range scores equal to 1e-5"
    pairs = [item for item in trials if item.arm == "null" and "null disc" in item.what]
    paired = [item for item in trials if item.arm == "null" and "paired" in item.what]
    if not pairs:
        return [Goal(f"V4 {modality}", wanted, "", None)]
    auc = sum(item.right for item in pairs) / len(pairs)
    low, high = _clusters(pairs)
    plain = [item.right for item in trials if item.arm == "null" and "plain disc" in item.what]
    worst = max((item.value for item in paired), default=math.nan)
    text = f"AUC {auc:.3f} ({low:.3f} to {high:.3f}, n {len(pairs)}); seen disc {sum(plain) / len(plain):.2f}; "
    text += f"paired scores differ by {worst:.1g} at most"
    reached = len(pairs) >= _LEAST_PAIRS and abs(auc - 0.5) <= _AUC_WITHIN and worst <= 1e-5
    rises = [item.right for item in trials if item.arm == "null" and "N1 rises" in item.what]
    goals = [Goal(f"V4 {modality}", wanted, text, reached)]
    if rises:
        share, _, words = _share(rises)
        aim = "null channels together: aim >= .75 (3 px, CNR 4)"
        goals.append(Goal(f"V4 {modality}, N1", aim, f"N1 rises in {words}", share >= 0.75))
    return goals


def _operator_goal(trials: Sequence[Trial], modality: str) -> list[Goal]:
    """On restored images, and on the truth in their place: the audit without a restorer's own faults."""
    wanted = "wrong operators held >= 95 %, right ones <= 2 %; shift read to .1 px, PSF to 5 points, gain to .5 %"
    chosen = [item for item in trials if item.arm == "operator"]
    if not chosen:
        return [Goal(f"V6 {modality}", wanted, "", None)]
    goals = []
    for whose in ("", ", true image"):
        words, reached = [], True
        for what, within in (("shift .25 px", 0.1), ("PSF +25 %", 0.05), ("gain +2 %", 0.005)):
            mine = [item for item in chosen if item.what == what + whose]
            share, _, text = _share([item.right for item in mine])
            error = max((abs(item.value - item.truth) for item in mine), default=math.nan)
            median = float(np.median([item.value for item in mine])) if mine else math.nan
            words.append(f"{what} held {text}, reads {median:.3g}, worst error {error:.2g}")
            reached &= share >= _LEAST_FOUND and error <= within
        share, _, text = _share([not item.right for item in chosen if item.what == "right" + whose])
        words.append(f"right ones held {text}")
        goals.append(Goal(f"V6 {modality}{whose}", wanted, "; ".join(words), reached and share <= 0.02))
    return goals


def _noise_goal(trials: Sequence[Trial], modality: str) -> list[Goal]:
    wanted = "sigma off by 20 % noticed >= 99 %; by 10 %: <= .2 flags a slice"
    chosen = [item for item in trials if item.arm == "noise"]
    if not chosen:
        return [Goal(f"V7 {modality}", wanted, "", None)]
    share, _, text = _share([item.right for item in chosen if "20" in item.what])
    ten = [item for item in chosen if "10" in item.what]
    flags, slices = sum(int(item.value) for item in ten), sum(item.count for item in ten)
    low, high = poisson_interval(flags, slices) if slices else (0.0, math.inf)
    figure = (
        f"20 % noticed {text}; 10 %: {flags / max(slices, 1):.2f} flags a slice ({low:.2f} to {high:.2f}, n {slices})"
    )
    return [Goal(f"V7 {modality}", wanted, figure, share >= 0.99 and flags <= _MOST_FLAGS * slices)]


_BY_ARM: tuple[Callable[[Sequence[Trial], str], list[Goal]], ...] = (
    _input_goal,
    _null_goal,
    _operator_goal,
    _noise_goal,
)


def _speed(challenge: Challenge, modality: str) -> Goal:
    wanted = "<= .1 s of one core a slice of 512x512 to judge"
    spent = [item for item in challenge.judged if item[0] == modality]
    pixels, seconds = sum(item[1] for item in spent), sum(item[2] for item in spent)
    if not pixels:
        return Goal(f"V12 {modality}", wanted, "", None)
    slice_s = seconds / pixels * 512**2
    return Goal(f"V12 {modality}", wanted, f"{slice_s:.3f} s, mean of {len(spent)} judgements", slice_s <= 0.1)


def _from_elsewhere(references: Path | None) -> list[Goal]:
    wanted = {
        "V5": "20 of 20 GAN outputs held; alarm before projection >= 80 %; projection >= 2 dB",
        "V11": "sFRC 21, 22, 16, 17; <= 2 s for 20 pairs; reference channels <= .5 s a slice",
    }
    found = json.loads(references.read_text(encoding="utf-8")) if references else {}
    goals = []
    for name, text in wanted.items():
        entry = found.get(name)
        if entry is None:
            goals.append(Goal(name, text, "", None))
        else:
            goals.append(Goal(name, text, str(entry["figure"]), cast(bool, entry["reached"]) is True))
    return goals


def _coverage(records: Sequence[str], draws: int) -> Goal:
    share = simulated_coverage(draws)
    error = math.sqrt(0.95 * 0.05 / draws)
    figure = f"simulated coverage {100 * share:.1f} % of {draws:,} draws; {len(records)} records carry a promise"
    reached = share >= 0.95 - 2 * error and bool(records)
    wanted = (
        f"a certificate for one stratum (n >= {FEWEST_SUBJECTS}); simulated coverage >= 95 % within Monte-Carlo error"
    )
    return Goal("V10", wanted, figure, reached)


def _share(hits: Sequence[bool]) -> tuple[float, float, str]:
    count, found = len(hits), sum(hits)
    if not count:
        return math.nan, math.nan, "none"
    low, high = clopper_pearson(found, count)
    return found / count, low, f"{found} of {count} ({100 * low:.0f} to {100 * high:.0f} %)"


def _clusters(trials: Sequence[Trial]) -> tuple[float, float]:
    clusters: dict[str, list[tuple[float, float]]] = {}
    for item in trials:
        clusters.setdefault(item.subject, []).append((float(item.right), 1.0))
    return cluster_bootstrap(clusters)


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan
