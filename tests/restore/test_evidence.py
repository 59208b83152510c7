"""Evidence for the gate: discs planted and restored again, a second family, hidden slices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage
from support.methods import site
from support.volumes import ct_volume, mr_volume

from medsr.errors import UsageError
from medsr.models.bundle import Bundle
from medsr.physics import AreaAverage, Identity, NoNoise, Operator, SliceProfile
from medsr.physics.lesions import contrast_for
from medsr.records import NoiseLevel, Restoration
from medsr.restore.probe import MOST_DISCS, part_of, probe_discs
from medsr.restore.request import RestoreRequest
from medsr.restore.restore import restore
from medsr.restore.run import Run
from medsr.settings import settings
from medsr.volume import Volume

Bundles = Mapping[str, Bundle]
Image = npt.NDArray[np.float32]


@dataclass
class FakeRun:
    """A restorer that keeps a share of what it gets, and remembers what it was given."""

    share: float = 1.0
    blur: float = 0.0
    reach: int = 1
    given: list[Volume] = field(default_factory=list)
    firsts: list[int] = field(default_factory=list)

    def __call__(self, y: Volume, operator: Operator, *, first: int = 0) -> SimpleNamespace:
        self.given.append(y)
        self.firsts.append(first)
        import torch

        values = ndimage.gaussian_filter(y.values, (self.blur, self.blur, 0)) if self.blur else y.values
        fine = operator.linear.pinv(torch.from_numpy(np.array(values))).numpy()
        return SimpleNamespace(image=np.float32(self.share) * fine)

    @property
    def painter(self) -> SimpleNamespace:
        config = SimpleNamespace(slices=2 * self.reach + 1)
        return SimpleNamespace(engine=SimpleNamespace(network=SimpleNamespace(config=config)))


def restored(y: Volume, operator: Operator, run: FakeRun, *, sigma: float = 20.0) -> Restoration:
    """What the fake restorer makes of y."""
    image = run(y, operator).image
    run.given.clear()
    run.firsts.clear()
    return Restoration(
        measured=y, image=image, estimate=image, geometry=operator.linear.fine_geometry(y.geometry),
        operator=operator, task="denoise", model=None, noise=NoiseLevel(sigma, "rician", "declared"),
    )  # fmt: skip


def identity(y: Volume) -> Operator:
    return Operator(Identity(y.geometry.shape), NoNoise(), "declared")


def probed(y: Volume, run: FakeRun, operator: Operator | None = None) -> tuple[Restoration, tuple]:  # type: ignore[type-arg]  # of ProbeDisc
    made = restored(y, operator or identity(y), run)
    return made, probe_discs(made, cast("Run", run))


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_a_restorer_that_keeps_a_share_of_everything_keeps_that_share_of_each_disc(share):
    _, discs = probed(mr_volume((128, 112, 5)), FakeRun(share))
    assert len(discs) > 8
    assert all(disc.kept == pytest.approx(share, abs=1e-3) for disc in discs)


def test_a_restorer_that_blurs_loses_the_small_ones():
    _, discs = probed(mr_volume((160, 160, 5)), FakeRun(blur=2.0))
    kept = {size: np.mean([d.kept for d in discs if d.diameter_mm == size]) for size in {d.diameter_mm for d in discs}}
    by_size = [kept[size] for size in sorted(kept)]
    assert by_size[0] < 0.5 < by_size[-1]


def test_discs_are_few_spaced_of_both_signs_and_as_detectable_as_said():
    """The contrast is the ideal observer's for d' 8 in white noise; whatever else was added is no disc."""
    run = FakeRun()
    made, discs = probed(mr_volume((192, 192, 6)), run)
    assert 24 <= len(discs) <= MOST_DISCS
    assert {disc.sign for disc in discs} == {1, -1}
    assert {disc.dprime for disc in discs} == {8.0}
    places = np.array([disc.place[:2] for disc in discs], float)
    apart = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1)) + 1e9 * np.eye(len(discs))
    assert apart.min() >= 13
    added = run.given[0].values - made.measured.values
    pixel = np.sqrt(np.prod(made.geometry.spacing_mm[:2]))
    for disc in discs:
        expected = disc.sign * contrast_for(8, round(disc.diameter_mm / pixel, 3), sigma=20.0)
        assert added[disc.place] == pytest.approx(expected, rel=0.05)


def test_only_a_window_of_a_long_stack_is_restored_again_and_slices_keep_their_place():
    run = FakeRun()
    made, discs = probed(mr_volume((96, 96, 20)), run)
    assert [y.geometry.shape[2] for y in run.given] == [6]
    first = run.firsts[0]
    assert {disc.place[2] for disc in discs} <= set(range(first + 1, first + 5))
    assert np.allclose(run.given[0].geometry.world([0, 0, 0]), made.measured.geometry.world([0, 0, first]))


def test_dark_discs_do_not_reach_below_the_air():
    """In lung and in a faint signal a disc is brighter instead."""
    run = FakeRun()
    made, _ = probed(ct_volume((128, 128, 4), sigma=20.0), run, None)
    assert run.given[0].values.min() >= min(made.measured.values.min(), -1000.0)


def test_the_factor_of_super_resolution_counts_in_the_scan():
    """A disc that the matrix sees at half the size is planted with more contrast."""
    y = ct_volume((96, 96, 3))
    operator = Operator(AreaAverage((192, 192, 3), (2, 2)), NoNoise(), "declared")
    run = FakeRun()
    made, discs = probed(y, run, operator)
    added = np.abs(run.given[0].values - made.measured.values)
    smallest = min(discs, key=lambda disc: disc.diameter_mm)
    place = (smallest.place[0] // 2, smallest.place[1] // 2, smallest.place[2])
    near = added[place[0] - 2 : place[0] + 3, place[1] - 2 : place[1] + 3, place[2]]
    assert np.sqrt((near**2).sum()) / 20.0 == pytest.approx(8.0, rel=0.1)
    assert all(0.3 < disc.kept < 1.05 for disc in discs)


def test_thick_slices_are_probed_by_a_lesion_one_of_them_tall():
    y = mr_volume((96, 96, 14))
    operator = Operator(SliceProfile((96, 96, 28), 2.0, 2.0), NoNoise(), "declared")
    run = FakeRun()
    _, discs = probed(y, run, operator)
    assert [item.geometry.shape[2] for item in run.given] == [6, 6]
    assert all(disc.kept == pytest.approx(1.0, abs=1e-3) for disc in discs)


def test_a_body_that_drowns_in_noise_gets_none():
    run, y = FakeRun(), mr_volume((64, 56, 3))
    assert probe_discs(restored(y, identity(y), run, sigma=400.0), cast("Run", run)) == ()


def test_a_part_of_thick_slices_ends_with_its_last_one():
    y = mr_volume((24, 20, 10))
    operator = Operator(SliceProfile((24, 20, 30), 3.0, 3.0), NoNoise(), "declared")
    part, partial = part_of(y, operator, 2, 7)
    assert partial.linear.coarse_shape == part.geometry.shape == (24, 20, 5)
    assert partial.linear.fine_shape == (24, 20, 15)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundles]:
    folder: Path = tmp_path_factory.mktemp("site")
    made = site(folder, "MR")
    patch = pytest.MonkeyPatch()
    patch.setenv("MEDSR_MODELS", str(folder))
    settings.cache_clear()
    yield made
    patch.undo()
    settings.cache_clear()


def asked(task: str, **more: object) -> RestoreRequest:
    return RestoreRequest(task, precision="fp32", threads=1, **more)  # type: ignore[arg-type]  # plain values


def test_the_probe_runs_through_the_networks(bundles: Bundles):
    """Networks that change little keep nearly all; the image is the same with and without a probe."""
    scan = mr_volume((96, 80, 9), sigma=20.0)
    plain = restore(scan, asked("denoise"), bundle=bundles["base"])
    made = restore(scan, asked("denoise", evidence=frozenset({"probe"})), bundle=bundles["base"])
    assert plain.probe is None
    np.testing.assert_array_equal(made.image, plain.image)
    assert made.probe
    assert all(0.8 < disc.kept < 1.2 for disc in made.probe)
    assert made.timings["probe_s"] > 0


def test_a_part_of_a_scan_has_the_samples_of_the_whole(bundles: Bundles):
    """Discs are the only difference: a sample of a slice is seeded by its place in the whole scan."""
    scan = mr_volume((80, 80, 9), sigma=20.0)
    request = asked("superres", scale=2.0, method="diffusion", samples=2, evidence=frozenset({"probe"}))
    made = restore(scan, request, bundle=bundles["diffusion"])
    assert made.probe
    assert all(0.3 < disc.kept < 1.7 for disc in made.probe)


def test_the_second_family_is_the_regressor(bundles: Bundles):
    scan = mr_volume((48, 40, 4), sigma=20.0)
    plain = restore(scan, asked("superres", scale=2.0), bundle=bundles["base"])
    for method, more in (("gan", {}), ("diffusion", {"samples": 2})):
        request = asked("superres", scale=2.0, method=method, evidence=frozenset({"family"}), **more)
        made = restore(scan, request, bundle=bundles[method])
        assert made.family is not None
        assert made.family.method == "regress"
        np.testing.assert_array_equal(made.family.image, plain.image)
    assert restore(scan, asked("denoise", evidence=frozenset({"family"})), bundle=bundles["base"]).family is None


def test_hidden_slices_are_restored_from_their_neighbours(bundles: Bundles):
    """Linear interpolation makes no error in a stack that changes linearly; ends are never hidden."""
    base = mr_volume((48, 40, 1)).values
    values = np.asfortranarray(np.concatenate([base * (1 + 0.05 * k) for k in range(13)], 2).astype(np.float32))
    scan = replace(mr_volume((48, 40, 13)), values=values)
    request = asked("inpaint", mask=(3, 6, 9), noise=0.0, evidence=frozenset({"hidden", "probe"}))
    made = restore(scan, request, bundle=bundles["through"])
    assert made.probe is None
    assert made.hidden is not None
    assert 0 < len(made.hidden) <= 6
    kept = {0, 1, 2, 4, 5, 7, 8, 10, 11, 12}
    assert {item.index for item in made.hidden} <= kept - {0, 12}
    assert all(item.linear < 0.1 for item in made.hidden)
    assert all(np.isfinite(item.error) and item.error > item.linear for item in made.hidden)
    assert {item.distance for item in made.hidden} <= {2, 3}


def test_a_stack_of_two_acquired_slices_hides_none(bundles: Bundles):
    made = restore(
        mr_volume((48, 40, 3)),
        asked("inpaint", mask=(1,), noise=0.0, evidence=frozenset({"hidden"})),
        bundle=bundles["through"],
    )
    assert made.hidden == ()


def test_evidence_that_nobody_knows_is_refused():
    with pytest.raises(UsageError) as caught:
        RestoreRequest("denoise", evidence=frozenset({"prayer"}))  # type: ignore[arg-type]  # what is refused
    assert caught.value.code == "restore.evidence"
