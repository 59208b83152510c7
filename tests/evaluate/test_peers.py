"""Peers: each improves on its input where it should, and none sees the reference."""

from __future__ import annotations

from dataclasses import fields, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from support.volumes import ct_volume, mr_volume

from medsr.errors import MissingExtra, Refusal
from medsr.evaluate.cases import Case, cases_of
from medsr.evaluate.judge import Judge
from medsr.evaluate.levels import levels_named
from medsr.evaluate.methods import BEST_NLM, MethodChoice, method_row, peers_for, planned
from medsr.evaluate.peers.between import BETWEEN, flow_between
from medsr.evaluate.peers.denoisers import DENOISERS
from medsr.evaluate.peers.peer import Peer, Setting, finished, require, settings_of
from medsr.evaluate.peers.problem import Problem
from medsr.evaluate.peers.settings import Tuned, load_settings, setting_for, toml_text
from medsr.evaluate.peers.upsamplers import UPSAMPLERS, lanczos_matrix
from medsr.evaluate.scans import EvaluationScan
from medsr.evaluate.tune import best_setting
from medsr.physics.ct_noise import noise_fields


def _case(level: str, shape: tuple[int, int, int] = (48, 44, 9)) -> Case:
    volume = ct_volume((96, 96, 5), sigma=2) if level.startswith("CT") else mr_volume(shape, sigma=5)
    scan = EvaluationScan("scan", "someone", "domain", "unseen", volume)
    return next(cases_of(scan, levels_named((level,)), slices=3))


_DENOISERS = [
    pytest.param(peer, id=peer.name, marks=[pytest.mark.slow] if peer.extra == "peers-nc" else []) for peer in DENOISERS
]


@pytest.mark.parametrize("peer", _DENOISERS)
@pytest.mark.parametrize("level", ["MR denoise 9", "CT tenth"])
def test_every_denoiser_beats_its_noisy_input(peer: Peer, level: str) -> None:
    if peer.module and find_spec(peer.module) is None:
        pytest.skip(f"{peer.module} is not installed (extra {peer.extra})")
    case = _case(level)
    judge, problem = Judge(case), Problem.of(case)
    image = peer.run(problem, peer.usual)
    assert image.shape == problem.values.shape
    assert judge.error(image) < 0.97 * judge.error(problem.values)


@pytest.mark.parametrize("peer", UPSAMPLERS, ids=lambda peer: peer.name)
@pytest.mark.parametrize("level", ["MR x2", "CT x2"])
def test_every_upsampler_fills_the_fine_grid_near_the_reference(peer: Peer, level: str) -> None:
    case = _case(level)
    image = peer.run(Problem.of(case), peer.usual)
    assert image.shape == (len(case.reference.values[0, 0]), *case.reference.values.shape[:2])
    assert Judge(case).error(image) < 0.15 * float(np.ptp(case.reference.values))


@pytest.mark.parametrize("peer", BETWEEN, ids=lambda peer: peer.name)
def test_every_peer_between_slices_keeps_the_known_ones(peer: Peer) -> None:
    case = _case("MR gaps")
    problem = Problem.of(case)
    image = peer.run(problem, 1.0)
    kept = list(case.operator.linear.parameters()["kept"])
    np.testing.assert_allclose(image[kept], problem.values, atol=1e-2)


def test_thick_slices_of_a_ramp_interpolate_to_the_ramp() -> None:
    volume = mr_volume((16, 16, 24))
    ramp = np.asfortranarray(np.broadcast_to(np.arange(24, dtype=np.float32) + 10, volume.geometry.shape))
    scan = EvaluationScan("scan", "someone", "domain", "unseen", replace(volume, values=ramp))
    case = next(cases_of(scan, levels_named(("MR thick x2",)), slices=4))
    for peer in peers_for(case.level, "all"):
        image = peer.run(Problem.of(case), 1.0)
        reference = np.moveaxis(case.reference.values, 2, 0)
        np.testing.assert_allclose(image[list(case.judged)], reference[list(case.judged)], atol=0.05)


def test_flow_carries_a_moving_disc_half_way() -> None:
    grid = np.mgrid[:64, :64].astype(np.float32)

    def blob(column: float) -> np.ndarray:
        return np.exp(-((grid[0] - 32) ** 2 + (grid[1] - column) ** 2) / 50).astype(np.float32)

    made = flow_between(blob(29), blob(35), 0.5)
    mean = (blob(29) + blob(35)) / 2
    assert np.abs(made - blob(32)).max() < 0.5 * np.abs(mean - blob(32)).max()


def test_lanczos_keeps_constants_and_its_own_samples() -> None:
    weights = lanczos_matrix(30, 10)
    np.testing.assert_allclose(weights.sum(1), 1)
    np.testing.assert_allclose(weights[1::3], np.eye(10), atol=1e-12)


def test_a_problem_holds_no_reference() -> None:
    assert not {field.name for field in fields(Problem)} & {"reference", "clean", "judged"}


def test_the_noise_spectrum_told_to_peers_is_that_of_the_law_that_made_it() -> None:
    case = _case("CT quarter")
    problem = Problem.of(case)
    psd = problem.noise_psd()
    rows, columns = problem.values.shape[1:]
    assert psd.mean() == pytest.approx(problem.sigma**2 * rows * columns, rel=1e-6)
    fresh = noise_fields(problem.values[2], problem.spacing_mm, np.random.default_rng(9), count=4, views=90)
    low = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.fftfreq(columns)) < 0.15
    power = (np.abs(np.fft.fft2(fresh)) ** 2).mean(0)
    assert psd[low].mean() / psd.mean() == pytest.approx(power[low].mean() / power.mean(), rel=0.35)


@pytest.mark.slow
@pytest.mark.parametrize("level", ["MR denoise 9", "CT tenth"])
def test_bm4d_takes_a_single_slice(level: str) -> None:
    pytest.importorskip("bm4d")
    volume = ct_volume((64, 64, 1), sigma=2) if level.startswith("CT") else mr_volume((48, 44, 1), sigma=5)
    scan = EvaluationScan("scan", "someone", "domain", "unseen", volume)
    case = next(cases_of(scan, levels_named((level,)), slices=1))
    judge, problem = Judge(case), Problem.of(case)
    image = next(peer for peer in DENOISERS if peer.name == "BM4D").run(problem, 1.0)
    assert image.shape == problem.values.shape
    assert judge.error(image) < judge.error(problem.values)


def test_correction_and_blend_follow_their_formulas() -> None:
    problem = Problem.of(_case("MR denoise 9"))
    image = np.full(problem.values.shape, 5 * problem.sigma, np.float32)
    corrected = finished(image, problem, Setting(corrected=True))
    np.testing.assert_allclose(corrected, np.sqrt(24) * problem.sigma, rtol=1e-5)
    blended = finished(image, problem, Setting(blend=0.25))
    np.testing.assert_allclose(blended, 0.75 * image + 0.25 * problem.values, rtol=1e-5)


def test_an_absent_package_is_named_with_its_extra() -> None:
    with pytest.raises(MissingExtra) as error:
        require(Peer("ghost", lambda problem, _: problem.values, module="no_such_package_at_all", extra="peers"))
    assert error.value.code == "evaluate.peer"
    assert "peers" in error.value.fact


def test_absent_peers_are_said_and_the_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    ghost = Peer("ghost", lambda problem, _: problem.values, module="no_such_package_at_all", extra="peers")
    monkeypatch.setattr("medsr.evaluate.methods.DENOISERS", (ghost, DENOISERS[2]))
    case = _case("MR denoise 9")
    said: list[str] = []
    names = planned(case.level, MethodChoice("all", best_nlm=False, settings={}), log=said.append)
    assert names[:3] == ["input", "wavelet", "mr-inplane"]
    assert "ghost" not in names
    assert sum("ghost" in line for line in said) == 1


def test_nlm_at_its_best_is_at_least_as_good_as_at_any_setting_of_the_grid() -> None:
    case = _case("MR denoise 9")
    judge, problem = Judge(case), Problem.of(case)
    best = method_row(BEST_NLM, case, judge, problem, MethodChoice("none", best_nlm=True, settings={}))
    nlm = DENOISERS[0]
    for setting in settings_of(nlm, problem):
        assert best.score >= judge.score(finished(nlm.run(problem, setting.strength), problem, setting)) - 0.05


def test_tuning_picks_the_strength_of_least_error() -> None:
    def shrink(problem: Problem, strength: float) -> np.ndarray:
        return problem.values * np.float32(strength)

    case = _case("MR x2")
    level = case.level
    peer = Peer("shrink", lambda problem, strength: problem.pinv(shrink(problem, strength)), (0.5, 1.0, 1.5))
    found = best_setting(peer, level, [case])
    assert found.setting.strength == 1.0
    assert found.subjects == 1


def test_settings_survive_their_file(tmp_path: Path) -> None:
    path = tmp_path / "peers.toml"
    tuned = Tuned("CT quarter dose", "NLM 3-D", Setting(0.8, blend=0.25), 12.3, 5)
    path.write_text(toml_text([tuned], provenance="printed by a test"))
    settings = load_settings(path)
    problem = Problem.of(_case("CT quarter"))
    assert settings == {("CT quarter dose", "NLM 3-D"): tuned.setting}
    assert setting_for(DENOISERS[0], "CT quarter dose", settings, problem=problem) == (tuned.setting, True)


def test_untuned_peers_run_at_the_middle_of_their_grid_corrected_or_blended_by_the_dose() -> None:
    ct, mr = Problem.of(_case("CT tenth")), Problem.of(_case("MR denoise 5"))
    assert setting_for(DENOISERS[0], "CT tenth dose", {}, problem=ct) == (Setting(0.8, blend=0.1), False)
    assert setting_for(DENOISERS[0], "MR denoise 5 %", {}, problem=mr) == (Setting(0.8, corrected=True), False)
    assert setting_for(BETWEEN[0], "MR gaps 1 of 2", {}, problem=mr) == (Setting(1.0), False)


def test_broken_settings_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "peers.toml"
    path.write_text('[levels."MR x2"]\nIBP = 3')
    with pytest.raises(Refusal) as error:
        load_settings(path)
    assert error.value.code == "evaluate.settings"


@pytest.mark.parametrize("peer", [peer for peer in DENOISERS if not peer.module], ids=lambda peer: peer.name)
def test_a_single_slice_keeps_its_axis(peer: Peer) -> None:
    problem = Problem.of(_case("CT tenth"))
    single = replace(problem, values=problem.values[:1])
    assert peer.run(single, peer.strengths[0]).shape == single.values.shape
