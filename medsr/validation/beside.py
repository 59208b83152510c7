"""The channels beside the residual: R8, R9 and all of the null space, with the codes that they and the noise give."""

from __future__ import annotations

from dataclasses import dataclass

from medsr.physics.estimate import estimate_noise
from medsr.physics.features import domain_features
from medsr.records import ChannelResult, Restoration
from medsr.validation.n1_budget import budget_result
from medsr.validation.n2_spread import spread_result
from medsr.validation.n3_families import families_result
from medsr.validation.n4_domain import domain_result
from medsr.validation.n5_hidden import hidden_result
from medsr.validation.noise_check import NoiseCheck, check_noise
from medsr.validation.null_space import NullSpace
from medsr.validation.r1_global import LARGEST_BIAS_SHARE
from medsr.validation.r8_independent import second_result
from medsr.validation.r9_probe import probe_result
from medsr.validation.residual import Measurement

__all__ = ["Beside", "beside"]


@dataclass(frozen=True, slots=True)
class Beside:
    """What these channels say, reason codes that hold the result, and if the noise may have been read too high."""

    channels: tuple[ChannelResult, ...]
    codes: tuple[str, ...]
    limits: tuple[str, ...]
    noise_may_be_high: bool


def beside(measurement: Measurement, *, largest_bias: float, interpolated: bool) -> Beside:
    """Judge what the evidence, the operator and the scan's own pixels say.

    Parameters
    ----------
    largest_bias : R1's bound, 1 HU or .5 % of q, in image units.
    interpolated : the outer spectrum of an MR scan holds no noise.
    """
    restoration = measurement.restoration
    estimate = estimate_noise(restoration.measured)
    null = NullSpace(measurement)
    unit = largest_bias if restoration.measured.modality == "CT" else largest_bias / (100 * LARGEST_BIAS_SHARE)
    method = restoration.model.method if restoration.model is not None else ""
    domain = domain_result(restoration, domain_features(restoration.measured, estimate=estimate))
    channels = (
        second_result(restoration),
        probe_result(restoration.probe),
        budget_result(null, smallest=largest_bias),
        spread_result(null, unit=unit, needed=method == "diffusion"),
        families_result(null, needed=method in ("gan", "diffusion")),
        domain,
        hidden_result(null, unit=unit),
    )
    check = check_noise(restoration.noise, estimate, modality=restoration.measured.modality, interpolated=interpolated)
    return Beside(channels, _codes(restoration, domain, check), _limits(check), check.may_be_high)


def _codes(restoration: Restoration, domain: ChannelResult, check: NoiseCheck) -> tuple[str, ...]:
    codes = [] if check.verified else ["noise.unverified"]
    codes += ["domain"] if domain.status == "held" else []
    codes += ["synthetic"] if restoration.synthetic_slices else []
    return tuple(codes)


def _limits(check: NoiseCheck) -> tuple[str, ...]:
    sentences = [f"The noise level is not certain: {words}." for words in check.apart]
    if check.interpolated:
        sentences.append("The scanner interpolated this scan: the outer part of its spectrum holds no noise to read.")
    return tuple(sentences)
