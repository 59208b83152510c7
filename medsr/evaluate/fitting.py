"""What a GAN end or a bridge is set to by default: fitted on whole slices of subjects kept out of training.

The figures are those of `medsr evaluate`, on the same path from scan to image, so that a default that is chosen for
0.3 dB costs 0.3 dB where it is used. Patches of training flatter: they leave out air, edges of the field and slices
that hold little.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from medsr.errors import UsageError
from medsr.evaluate.cases import Case, cases_of, stack_of
from medsr.evaluate.held_out import held_out_scans
from medsr.evaluate.judge import Judge, Row
from medsr.evaluate.levels import LEVELS, Level
from medsr.evaluate.metrics import rank_correlation
from medsr.evaluate.resources import Used
from medsr.models.bridge import BridgeSettings
from medsr.models.bundle import Bundle, regressor_of
from medsr.models.levels import FITTED_SCALES, level_name
from medsr.models.mixture import FIDELITIES, FidelityFigures, chosen_fidelity
from medsr.models.reset import with_settings
from medsr.records import Restoration
from medsr.restore.request import DEFAULT_SAMPLES, Method, RestoreRequest
from medsr.restore.restore import restore

__all__ = ["FIT", "SpreadFigures", "fit_fidelity", "fit_spread", "fitted_levels", "tune_bundle"]

Array = npt.NDArray[np.float32]
Log = Callable[[str], None]

FIT = "fit"
"""Where the settings hold the figures that a default was read from."""
_SCANS_A_SUBJECT = {"gan": 2, "diffusion": 1}
"""A bridge is asked 32 times a slice."""


@dataclass(frozen=True, slots=True)
class SpreadFigures:
    """One degradation of held-out subjects restored by samples.

    gain_db : of the mean over the regressor. ratio : spread over error with the level's multiplier, the lowest and
    the highest subject in `low` and `high`. rank and gradient_rank : Spearman's correlation with the error by 8 x 8
    patch, of the spread and of the gradient of the regressor's image, mean over scans.
    """

    level: str
    degradation: str
    multiplier: float
    gain_db: float
    ratio: float
    low: float
    high: float
    rank: float
    gradient_rank: float
    subjects: int


def fitted_levels(bundle: Bundle) -> tuple[Level, ...]:
    """The denoising levels of the evaluation, and every in-plane factor that settings are kept for."""
    known = [level for level in LEVELS if level.modality == bundle.modality and level.task == "denoise"]
    factors = (Level(f"{bundle.modality} x{s:g}", "superres", bundle.modality, scale=s) for s in FITTED_SCALES)
    return tuple(level for level in (*known, *factors) if level.task in bundle.tasks)


def tune_bundle(bundle: Bundle, folders: Sequence[Path], *, slices: int = 1, log: Log) -> Bundle:
    """Fit a bundle's defaults and write them into its metadata; returns the bundle, whose hash has changed.

    Parameters
    ----------
    folders : of training scans; those of the subjects that the bundle's recipe kept out are used.
    slices : middle ones of each scan that are judged.

    Raises
    ------
    UsageError : ``models.held_out``, ``bundle.settings`` for a regressor, ``bundle.regressor``.
    """
    if bundle.regressor is None or bundle.plane == "through":
        raise UsageError("bundle.settings", f"{bundle.name} restores by {bundle.method}: it has nothing to fit")
    base = regressor_of(bundle)
    scans = held_out_scans(bundle, folders, most=_SCANS_A_SUBJECT[bundle.method])
    cases = [case for scan in scans for case in cases_of(scan, fitted_levels(bundle), slices=slices)]
    log(f"{bundle.name}: {len(cases)} cases of {len({scan.subject for scan in scans})} held-out subjects")
    if bundle.method == "gan":
        curve = fit_fidelity(bundle, base, cases, log=log)
        settings: dict[str, object] = {"fidelity": chosen_fidelity(curve), FIT: [_record(item) for item in curve]}
    else:
        spread, figures = fit_spread(bundle, base, cases, log=log)
        kept = replace(BridgeSettings.from_record(bundle.settings), spread=spread)
        settings = {**kept.to_record(), FIT: [_record(item) for item in figures]}
    return with_settings(bundle, settings)


def fit_fidelity(bundle: Bundle, base: Bundle, cases: Sequence[Case], *, log: Log) -> list[FidelityFigures]:
    """The curve of every degradation: what each fidelity costs against the regressor, and how sharp it is."""
    figures = []
    for level, chosen in _by_level(cases):
        rows: dict[float, list[Row]] = {fidelity: [] for fidelity in FIDELITIES}
        for case in chosen:
            judge = Judge(case)
            rows[1.0].append(_row(judge, _restored(case, "regress", base)))
            for fidelity in FIDELITIES[1:]:
                rows[fidelity].append(_row(judge, _restored(case, "gan", bundle, fidelity=fidelity)))
        for fidelity, those in rows.items():
            loss = _loss_db(level, rows[1.0], those)
            energy = float(np.mean([row.gradient for row in those if row.gradient is not None]))
            count = len({row.subject for row in those})
            figures.append(FidelityFigures(_key(level), level.name, fidelity, loss, energy, count))
            log(f"{level.name}, fidelity {fidelity:g}: loss {loss:.2f} dB, gradient energy {energy:.2f}")
    return figures


def fit_spread(
    bundle: Bundle, base: Bundle, cases: Sequence[Case], *, log: Log
) -> tuple[dict[str, float], list[SpreadFigures]]:
    """Multipliers of the samples' deviation by level, such that spread over error is 1 in the mean over subjects.

    The mean is geometric over subjects, and over the degradations of a level.
    """
    stored = BridgeSettings.from_record(bundle.settings)
    found: dict[str, list[_Spread]] = {}
    for level, chosen in _by_level(cases):
        found[level.name] = [_spread_of(case, bundle, base, stored.multiplier(_key(level))) for case in chosen]
        log(
            f"{level.name}: "
            + ", ".join(f"{item.subject} {math.exp(item.log_needed):.2f}" for item in found[level.name])
        )
    keys = {level.name: _key(level) for level, _ in _by_level(cases)}
    spread = {
        key: round(math.exp(float(np.mean([_mean_by_subject(found[name]) for name in keys if keys[name] == key]))), 3)
        for key in dict.fromkeys(keys.values())
    }
    figures = [_spread_figures(keys[name], name, items, spread[keys[name]]) for name, items in found.items()]
    for figure in figures:
        log(
            f"{figure.degradation}: multiplier {figure.multiplier:.2f}, spread over error {figure.ratio:.2f}, "
            f"Spearman {figure.rank:.2f} (gradient alone {figure.gradient_rank:.2f})"
        )
    return spread, figures


@dataclass(frozen=True, slots=True)
class _Spread:
    """One case: logarithm of the multiplier that its error asks for, rank correlations, gain over the regressor."""

    subject: str
    log_needed: float
    rank: float
    gradient_rank: float
    gain_db: float


def _spread_of(case: Case, bundle: Bundle, base: Bundle, multiplier: float) -> _Spread:
    judge, judged = Judge(case), list(case.judged)
    sampled, regressed = _restored(case, "diffusion", bundle), _restored(case, "regress", base)
    if sampled.spread is None:
        raise ValueError("samples come with their spread")
    image, x_reg = (stack_of(made.image, case.reference)[judged] for made in (sampled, regressed))
    deviation = stack_of(sampled.spread, case.reference)[judged] / multiplier
    error, mask = image - judge.reference, judge.mask
    claimed = _rms(deviation[mask]) * math.sqrt(1 + 1 / DEFAULT_SAMPLES)
    steps = np.stack(np.gradient(x_reg, axis=(1, 2)))
    return _Spread(
        case.scan.subject,
        log_needed=math.log(_rms(error[mask]) / claimed),
        rank=rank_correlation(deviation, error, mask),
        gradient_rank=rank_correlation(np.sqrt((steps**2).sum(0)), error, mask),
        gain_db=20 * math.log10(_rms((x_reg - judge.reference)[mask]) / _rms(error[mask])),
    )


def _spread_figures(key: str, name: str, items: Sequence[_Spread], multiplier: float) -> SpreadFigures:
    ratios = [multiplier / math.exp(item.log_needed) for item in items]
    return SpreadFigures(
        key,
        name,
        multiplier,
        gain_db=float(np.mean([item.gain_db for item in items])),
        ratio=multiplier / math.exp(_mean_by_subject(items)),
        low=min(ratios),
        high=max(ratios),
        rank=float(np.mean([item.rank for item in items])),
        gradient_rank=float(np.mean([item.gradient_rank for item in items])),
        subjects=len({item.subject for item in items}),
    )


def _mean_by_subject(items: Sequence[_Spread]) -> float:
    subjects = dict.fromkeys(item.subject for item in items)
    return float(
        np.mean([np.mean([item.log_needed for item in items if item.subject == subject]) for subject in subjects])
    )


def _loss_db(level: Level, regressed: Sequence[Row], mixed: Sequence[Row]) -> float:
    """Mean loss over subjects: of PSNR, or 20 log10 of the ratio of the mean errors."""
    before, after = (_by_subject(rows) for rows in (regressed, mixed))
    if level.larger_is_better:
        return float(np.mean([before[subject] - after[subject] for subject in before]))
    return 20 * math.log10(float(np.mean(list(after.values()))) / float(np.mean(list(before.values()))))


def _by_subject(rows: Sequence[Row]) -> dict[str, float]:
    return {
        subject: float(np.mean([row.score for row in rows if row.subject == subject]))
        for subject in dict.fromkeys(row.subject for row in rows)
    }


def _by_level(cases: Sequence[Case]) -> Iterator[tuple[Level, list[Case]]]:
    for name in dict.fromkeys(case.level.name for case in cases):
        chosen = [case for case in cases if case.level.name == name]
        yield chosen[0].level, chosen


def _key(level: Level) -> str:
    return level_name(level.task, level.scale or 1.0)


def _restored(case: Case, method: Method, bundle: Bundle, *, fidelity: float | None = None) -> Restoration:
    request = RestoreRequest(case.level.task, scale=case.level.scale, method=method, fidelity=fidelity)
    return restore(case.degraded, request, bundle=bundle)


def _row(judge: Judge, restored: Restoration) -> Row:
    image = stack_of(restored.image, judge.case.reference)
    return judge.row("", image, Used(0.0, None))


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(values.astype(np.float64) ** 2)))


def _record(figures: FidelityFigures | SpreadFigures) -> dict[str, object]:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(figures).items()}
