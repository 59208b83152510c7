"""What the policy's channels need is run on the way, and what the user says of it is heard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support import bundles as small
from support.methods import site
from support.volumes import mr_volume

import medsr
from medsr.models.bundle import Bundle, load_bundle
from medsr.physics.features import domain_features
from medsr.pipeline.walk import restore_volume
from medsr.restore.request import RestoreRequest
from medsr.settings import settings


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Bundle]]:
    folder: Path = tmp_path_factory.mktemp("site")
    made = site(folder, "MR")
    patch = pytest.MonkeyPatch()
    patch.setenv("MEDSR_MODELS", str(folder))
    settings.cache_clear()
    yield dict(made)
    patch.undo()
    settings.cache_clear()


@pytest.fixture(scope="module")
def noisy():
    return medsr.degrade(mr_volume((96, 88, 5), seed=1), "denoise", noise="5%", seed=7)


def asked(task="denoise", **more):
    return RestoreRequest(task, precision="fp32", threads=1, **more)


def by_name(result):
    return {item.name: item for item in result.judgement.channels}


@pytest.mark.parametrize("policy", ["research", "clinical"])
def test_the_probe_runs_because_both_policies_require_it(noisy, bundles, policy):
    result = restore_volume(noisy, asked(), policy=policy, bundle=bundles["base"])
    assert result.restoration.probe
    assert by_name(result)["R9"].status in ("passed", "held")


def test_without_the_probe_the_result_waits_for_a_reader(noisy, bundles):
    result = restore_volume(noisy, asked(), bundle=bundles["base"], probe=False)
    assert result.restoration.probe is None
    assert "channel.not_assessed:R9" in result.verdict.reasons
    assert result.verdict.word != "released"


def test_a_gan_brings_its_regressor_and_a_second_scan_is_judged(noisy, bundles):
    second = medsr.degrade(mr_volume((96, 88, 5), seed=1), "denoise", noise="5%", seed=8)
    result = restore_volume(noisy, asked(method="gan"), bundle=bundles["gan"], second=second)
    channels = by_name(result)
    assert result.restoration.family is not None
    assert (channels["N3"].status, channels["N3"].value) == ("passed", 0.0)
    assert channels["R8"].status in ("passed", "held")
    assert channels["R8"].value is not None


def test_a_second_scan_that_does_not_fit_holds(noisy, bundles):
    other = mr_volume((64, 56, 5))
    result = restore_volume(noisy, asked(), bundle=bundles["base"], second=other)
    assert "channel.not_assessed:R8" in result.verdict.reasons


@pytest.mark.parametrize("policy", ["research", "clinical"])
def test_an_inpainting_is_judged_by_hidden_slices_and_clinical_holds_what_is_synthetic(bundles, policy):
    scan = mr_volume((64, 56, 12), sigma=10.0)
    through = bundles["through"]
    known = replace(through, domain={"features": _ranges(scan)})
    result = restore_volume(scan, asked("inpaint", mask=(4, 7), noise=10.0), policy=policy, bundle=known)
    assert result.restoration.hidden
    channels = by_name(result)
    assert channels["N5"].uncalibrated
    assert channels["N1"].uncalibrated
    assert channels["R1w"].value == 0.0
    assert "synthetic" in result.judgement.codes
    assert ("synthetic" in result.verdict.reasons) is (policy == "clinical")
    if policy == "clinical":
        assert result.verdict.word == "review"


def test_a_good_result_is_still_released_as_unverified(noisy, tmp_path):
    """Under research the lack of a calibration alone is waived: no other channel stands in the way."""
    import torch

    weights = {name: torch.zeros_like(value) for name, value in small.network().state_dict().items()}
    still = load_bundle(small.write(tmp_path / "still", "MR", weights=weights))
    known = replace(still, domain={"features": _ranges(noisy)})
    result = restore_volume(noisy, asked(), bundle=known)
    assert (result.verdict.word, result.verdict.reasons) == ("released", ("uncalibrated",))
    assert result.verdict.label == "UNVERIFIED"
    assert restore_volume(noisy, asked(), policy="clinical", bundle=known).verdict.word == "review"


def test_a_model_that_loses_lesions_is_held_by_the_probe(noisy, bundles, monkeypatch):
    """The scan itself says nothing of a lesion of d' 8 that went away; the probe does."""
    from medsr.restore import probe

    monkeypatch.setattr(probe, "_kept", lambda *_, **__: 0.2)
    result = restore_volume(noisy, asked(), bundle=bundles["base"])
    assert "channel.held:R9" in result.verdict.reasons


def _ranges(scan):
    features = domain_features(scan)
    return {name: [value - abs(value) - 1, value + abs(value) + 1] for name, value in features.items()}
