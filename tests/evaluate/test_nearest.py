"""The nearest place is found wherever it is, and a bundle that remembers is told from one that does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medsr.evaluate.memory import MemoryFigures, _ks
from medsr.evaluate.memory_section import memory_section, pairs_png
from medsr.evaluate.nearest import PATCH, nearest, patch_at

RNG = np.random.default_rng(0)
PICTURES = [RNG.standard_normal((96, 96)).astype(np.float32) for _ in range(3)]
CLEAN = MemoryFigures(1000, (9, 9), (60, 6, 7), 0.35, 0.36, 0.6, 0.33, 0.34, 0.7, -0.01, -0.01, ())


def test_a_copy_is_found_at_its_pixel_whatever_its_size_and_offset() -> None:
    copies = np.stack([3 * patch_at(PICTURES[1], (40, 17)) + 5, -patch_at(PICTURES[2], (0, 64))])
    found = nearest(copies, PICTURES)
    assert found.correlation[0] == pytest.approx(1.0, abs=1e-4)
    assert (int(found.picture[0]), found.corner[0].tolist()) == (1, [40, 17])
    assert found.correlation[1] < 0.3
    assert found.places == 3 * 65 * 65


def test_correlations_are_those_of_numpy() -> None:
    patch = RNG.standard_normal((1, PATCH, PATCH)).astype(np.float32)
    found = nearest(patch, PICTURES[:1])
    other = patch_at(PICTURES[0], found.corner[0])
    assert found.correlation[0] == pytest.approx(np.corrcoef(patch.ravel(), other.ravel())[0, 1], abs=1e-4)


def test_empty_places_are_no_neighbours() -> None:
    dim = PICTURES[0].copy()
    dim[:, 48:] *= 1e-3
    assert nearest(PICTURES[1][None, :PATCH, :PATCH], [dim]).places < 65 * 65


def test_copied_patches_are_suspicious_and_a_lean_of_the_anatomy_alone_is_not() -> None:
    there = RNG.uniform(0.3, 0.5, 500)
    assert _ks(there + 0.1, there) < 0.01
    assert _ks(there, there + 0.1) > 0.5
    assert not CLEAN.suspicious
    assert replace(CLEAN, p=1e-6, lean=0.05).suspicious
    assert not replace(CLEAN, p=1e-6, lean=0.05, true_lean=0.06).suspicious


def test_the_section_says_what_came_out() -> None:
    assert memory_section(CLEAN, printed="Printed.").startswith("No sign of memorisation")
    assert "look at the pairs" in memory_section(replace(CLEAN, p=1e-6, lean=0.05), printed="Printed.")


def test_pairs_become_one_small_picture() -> None:
    from medsr.evaluate.memory import Pair

    pair = Pair("MR x2", "a", "b", 0.7, 0.6, PICTURES[0][:PATCH, :PATCH], PICTURES[1][:PATCH, :PATCH])
    made = pairs_png((pair,) * 10)
    assert made.startswith(b"\x89PNG")
    assert len(made) < 60_000
