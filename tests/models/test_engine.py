"""Running a network: precision, memory format, device, allocator."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from support import bundles

from medsr.errors import UsageError
from medsr.io import read
from medsr.models import allocator, engine
from medsr.models.bundle import find_bundle, load_network
from medsr.models.engine import TorchEngine, choose_device, choose_precision
from medsr.models.inputs import condition, neighbours

LARGEST_BF16_ERROR = 0.02
"""Root mean square error of bf16, in parts of the residual's deviation; the cards state it."""

FAULTS = """
import resource, sys, torch
from medsr.models.engine import TorchEngine, prepare_process
from medsr.models.generator import Generator, GeneratorConfig
prepare_process(1)
run = TorchEngine.of(Generator(GeneratorConfig()), precision=sys.argv[1])
x = torch.randn(1, 8, 256, 256)
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    run(x)
counts = []
for _ in range(5):
    before = faults()
    run(x)
    counts.append(faults() - before)
print(sorted(counts)[2])
"""


def test_fp32_is_the_network_itself() -> None:
    network = bundles.network(size=0.2)
    x = torch.randn(1, 6, 32, 48)
    with torch.inference_mode():
        plain = network(x)
    assert torch.allclose(TorchEngine.of(network, device="cpu", precision="fp32")(x), plain, atol=1e-5)


def test_weights_are_channels_last_and_the_head_stays_float32() -> None:
    run = TorchEngine.of(bundles.network(), device="cpu", precision="bf16")
    assert run.network.head.weight.dtype == torch.float32
    assert run.network.tail.weight.dtype == torch.bfloat16
    assert run.network.body[0].first.weight.is_contiguous(memory_format=torch.channels_last)
    assert not run.network.training


def test_bf16_adds_the_residual_in_float32() -> None:
    """A zero residual gives back every bit of the slice, which bfloat16 would round to 8 bits."""
    run = TorchEngine.of(bundles.network(size=0.0), device="cpu", precision="bf16")
    x = torch.randn(1, 6, 16, 16)
    assert torch.equal(run(x), x[:, 1:2])


@pytest.mark.parametrize(("slab", "modality", "sigma"), [("t1_head", "MR", 0.03), ("ct_chest", "CT", 0.02)])
def test_bf16_errs_within_the_stated_bound_on_the_demo_slabs(
    slab: str, modality: str, sigma: float, request: pytest.FixtureRequest
) -> None:
    path: Path = request.getfixturevalue(slab)
    volume = read(path)
    divisor = 1000.0 if modality == "CT" else float(np.percentile(volume.values[volume.values > 0], 99.9))
    bundle = find_bundle(modality, task="denoise")
    reach = load_network(bundle).config.slices // 2
    planes = [volume.values[:160, :160, k] for k in neighbours(3, volume.geometry.shape[2], reach)]
    clean = torch.from_numpy(np.stack(planes)) / divisor
    noisy = clean + sigma * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    given = condition(noisy, sigma=sigma, scale=1.0, gap=0.0)[None]
    exact = TorchEngine.of(load_network(bundle), device="cpu", precision="fp32")(given)
    rounded = TorchEngine.of(load_network(bundle), device="cpu", precision="bf16")(given)
    residual = exact - given[:, reach : reach + 1]
    assert float((rounded - exact).square().mean().sqrt() / residual.std()) < LARGEST_BF16_ERROR


@pytest.mark.parametrize(
    ("capabilities", "chosen"),
    [({}, "fp32"), ({"avx512_bf16": False}, "fp32"), ({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16")],
)
def test_bf16_is_taken_where_the_processor_has_it(
    capabilities: dict[str, bool], chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert choose_precision("auto", "cpu") == chosen
    assert choose_precision("fp32", "cpu") == "fp32"
    assert choose_precision("bf16", "cpu") == "bf16"


def test_cuda_without_a_device_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == "cpu"
    with pytest.raises(UsageError, match=r"\[engine\.no_cuda\]"):
        choose_device("cuda")


def test_the_allocator_is_set_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """All four settings of glibc, on the first call of a process only."""
    calls: list[tuple[int, int]] = []

    class Library:
        def mallopt(self, name: int, value: int) -> int:
            calls.append((name, value))
            return 1

    monkeypatch.setattr(ctypes, "CDLL", lambda _: Library())
    allocator.keep_pages.cache_clear()
    try:
        assert allocator.keep_pages()
        engine.prepare_process()
    finally:
        allocator.keep_pages.cache_clear()
    assert calls == [(-8, 1), (-4, 0), (-1, 1 << 30), (-2, 64 << 20)]


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator.platform, "libc_ver", lambda: ("musl", "1.2"))
    monkeypatch.setattr(ctypes, "CDLL", lambda _: pytest.fail("mallopt was called"))
    allocator.keep_pages.cache_clear()
    try:
        assert not allocator.keep_pages()
    finally:
        allocator.keep_pages.cache_clear()


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_warm_worker_faults_no_pages(precision: str) -> None:
    """At most 100 page faults a slice (median of five), where a plain allocator has 50,000 to 130,000."""
    done = subprocess.run([sys.executable, "-c", FAULTS, precision], capture_output=True, text=True, check=True)
    assert float(done.stdout) <= 100
