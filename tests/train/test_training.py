"""Training: a bundle at the end, resumable as if nothing had happened, and never on a held-out subject."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from support.volumes import mr_volume

from medsr.errors import UsageError
from medsr.models.bundle import load_bundle, load_network
from medsr.models.generator import GeneratorConfig
from medsr.restore.request import RestoreRequest
from medsr.restore.restore import restore
from medsr.train.loop import Report, Training, charbonnier, split_by_subject
from medsr.train.pairs import PairDraw
from medsr.train.recipe import Recipe, load_recipe
from medsr.train.scans import Scan, mr_scan, read_scans
from medsr.train.train import train

RECIPE = Recipe(
    name="made", version="0.0.1", modality="MR", tasks=("denoise", "superres"),
    network=GeneratorConfig(slices=3, width=8, blocks=1), minutes=0.05, batch=2, patch=32, seed=3,
    validation_subjects=("b",),
)  # fmt: skip

KILLED = """
import sys, time
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from train.test_training import scans, steps
from train.test_training import RECIPE, Training
training = Training(RECIPE, scans(), Path(sys.argv[1]))
steps(training, 0, 5)
training.save()
steps(training, 5, 8)
print("beyond the checkpoint", flush=True)
time.sleep(60)
"""


def scans() -> list[Scan]:
    """Two subjects, one scan each."""
    made = [mr_scan(mr_volume((112, 104, 6), sigma=20.0, seed=seed), name, name) for seed, name in enumerate("ab")]
    return [scan for scan in made if scan is not None]


def steps(training: Training, start: int, stop: int) -> None:
    """Drive a training by steps instead of time, with the rate of a run of 10 steps."""
    draw = PairDraw(training.recipe, training.kept, training.rng)
    for index in range(start, stop):
        training._step(draw, index / 10)
        training.progress.step += 1


def state(training: Training) -> dict[str, torch.Tensor]:
    averaged = {f"ema.{name}": value for name, value in training.ema.weights.items()}
    return {**training.network.state_dict(), **averaged}


def same(one: Training, other: Training) -> bool:
    return all(torch.equal(value, state(other)[name]) for name, value in state(one).items())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder of two scans of two subjects, with the table that tells them."""
    folder = tmp_path / "data"
    folder.mkdir()
    for seed, name in enumerate(("a1", "b1")):
        volume = mr_volume((112, 104, 6), sigma=20.0, seed=seed)
        image = nibabel.Nifti1Image(np.rint(volume.values).astype(np.int16), volume.geometry.world_from_voxel)
        image.header.set_xyzt_units("mm")
        image.to_filename(folder / f"{name}.nii.gz")
    (folder / "files.csv").write_text("file,subject\na1.nii.gz,a\nb1.nii.gz,b\n")
    (folder / "ATTRIBUTION.txt").write_text("Made by code, nobody's head\n")
    return folder


@pytest.mark.slow
def test_three_seconds_of_training_leave_a_bundle_that_restores(data: Path, tmp_path: Path) -> None:
    """Verified, with a card that names data and subjects; it restores a scan at once."""
    reports: list[Report] = []
    lines: list[str] = []
    folder = train(RECIPE, data, tmp_path / "made", report=reports.append, log=lines.append)
    bundle = load_bundle(folder)
    assert (bundle.name, bundle.modality, bundle.tasks) == ("made", "MR", ("denoise", "superres"))
    assert load_network(bundle).config == RECIPE.network
    assert load_recipe(folder / "recipe.yaml") == RECIPE
    card = (folder / "docs" / "README.md").read_text()
    assert "Made by code" in card
    assert "held-out subjects | b" in card
    assert any("2 scans of 2 subjects" in line for line in lines)
    made = restore(mr_volume((32, 30, 3), sigma=30), RestoreRequest("superres", scale=2, threads=1), bundle=bundle)
    assert np.isfinite(made.image).all()


def test_a_resumed_training_is_the_uninterrupted_one(tmp_path: Path) -> None:
    """Weights, average, optimiser and random draws go on from the checkpoint to the very same weights."""
    whole = Training(RECIPE, scans(), tmp_path / "whole")
    steps(whole, 0, 10)
    first = Training(RECIPE, scans(), tmp_path / "parts")
    steps(first, 0, 5)
    first.save()
    second = Training(RECIPE, scans(), tmp_path / "parts")
    assert second.progress.step == 5
    assert same(first, second)
    steps(second, 5, 10)
    assert same(whole, second)


@pytest.mark.slow
def test_a_kill_costs_the_steps_since_the_checkpoint_and_nothing_else(tmp_path: Path) -> None:
    """SIGKILL past the checkpoint; taken up again, the end is that of a run that nobody killed."""
    roots = [str(Path(__file__).parent.parent)]
    command = [sys.executable, "-c", KILLED, str(tmp_path / "killed"), *roots]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"beyond the checkpoint\n"
        child.send_signal(signal.SIGKILL)
        child.wait()
    torch.set_num_threads(1)
    resumed, whole = Training(RECIPE, scans(), tmp_path / "killed"), Training(RECIPE, scans(), tmp_path / "whole")
    assert resumed.progress.step == 5
    steps(resumed, 5, 10)
    steps(whole, 0, 10)
    assert same(resumed, whole)


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    """Another recipe, or other scans: going on would make weights that no recipe describes."""
    Training(RECIPE, scans(), tmp_path).save()
    other = replace(RECIPE, learning_rate=2e-3)
    with pytest.raises(UsageError, match=r"\[train\.other_recipe\]"):
        Training(other, scans(), tmp_path)
    fewer = [replace(scan, name="elsewhere") for scan in scans()]
    with pytest.raises(UsageError, match=r"\[train\.other_recipe\]"):
        Training(RECIPE, fewer, tmp_path)


def test_training_learns(tmp_path: Path) -> None:
    """Forty steps lower the loss on one fixed batch."""
    training = Training(replace(RECIPE, superres_share=0.0, noise_percent=(9.0, 9.1)), scans(), tmp_path)
    given, target = PairDraw(training.recipe, training.kept, np.random.default_rng(9)).batch(8)
    with torch.inference_mode():
        before = float(charbonnier(training.network(given), target))
    draw = PairDraw(training.recipe, training.kept, training.rng)
    for _ in range(40):
        training._step(draw, 0.1)
        training.progress.step += 1
    with torch.inference_mode():
        assert float(charbonnier(training.network(given), target)) < 0.99 * before


def test_no_subject_is_on_both_sides() -> None:
    """Two visits of one person stay together, and every scan is used once."""
    names = ["a1", "a2", "b1", "c1", "b2", "ab1"]
    made = [replace(scans()[0], name=name, subject=name[:-1]) for name in names]
    kept, held_out = split_by_subject(made, ("b",))
    assert {scan.subject for scan in held_out} == {"b"}
    assert {scan.subject for scan in kept} == {"a", "c", "ab"}
    assert sorted(scan.name for scan in kept + held_out) == sorted(names)
    assert split_by_subject(made, ()) == (made, [])


def test_draws_depend_on_the_generator_alone() -> None:
    """The same state draws the same pairs; a saved state goes on with the same next pair."""
    made = scans()
    rng = np.random.default_rng(5)
    one, other = PairDraw(RECIPE, made, np.random.default_rng(5)), PairDraw(RECIPE, made, rng)
    for _ in range(3):
        assert all(torch.equal(a, b) for a, b in zip(one.batch(2), other.batch(2), strict=True))
    kept = rng.bit_generator.state
    following = other.batch(2)
    later = np.random.default_rng(0)
    later.bit_generator.state = kept
    again = PairDraw(RECIPE, made, later).batch(2)
    assert all(torch.equal(a, b) for a, b in zip(following, again, strict=True))


def test_a_pair_is_a_degraded_neighbourhood_and_its_clean_centre() -> None:
    """Shapes and layout that the network takes; the input differs from the target by noise or resolution."""
    given, target = PairDraw(RECIPE, scans(), np.random.default_rng(0)).batch(4)
    assert given.shape == (4, 6, 32, 32)
    assert target.shape == (4, 1, 32, 32)
    assert given.is_contiguous(memory_format=torch.channels_last)
    assert bool(torch.isfinite(given).all() & torch.isfinite(target).all())
    assert float((given[:, 1:2] - target).abs().mean()) > 1e-4
    factors = given[:, 4, 0, 0].exp2()
    assert all(min(abs(float(factor) - known) for known in (1, 1.5, 2, 3, 4)) < 1e-3 for factor in factors)


def test_subjects_come_from_the_table(data: Path) -> None:
    lines: list[str] = []
    (data / "broken.nii.gz").write_bytes(b"no scan")
    made = read_scans(data, mr_scan, log=lines.append)
    assert [scan.subject for scan in made] == ["a", "b"]
    assert any("left out broken.nii.gz" in line for line in lines)


def test_a_folder_without_scans_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\[train\.no_scans\]"):
        read_scans(tmp_path, mr_scan, log=lambda _: None)


@pytest.mark.parametrize("text", ["[1, 2]", "name: [", "name: x", "speed: 3", "\xff"])
def test_a_recipe_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=r"\[train\.recipe\]"):
        load_recipe(path)
