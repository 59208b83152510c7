"""One service and one browser for the tests of the page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.browser import Browser, started
from support.page import Service, published, serving

from medsr.io import read
from medsr.pipeline.degrade import DegradeRequest, degrade, write_degraded
from medsr.pipeline.demo import _planted
from medsr.pipeline.walk import Result, judge_restoration, restore_volume
from medsr.restore.request import RestoreRequest
from medsr.volume import Volume

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def head(t1_head: Path) -> Volume:
    """Four slices of the T1 slab."""
    whole = read(t1_head)
    values = whole.values[:, :, 5:9].copy(order="F")
    return replace(whole, values=values, geometry=whole.geometry.slices(5, 9), padding=None)


@pytest.fixture(scope="session")
def results(head: Volume) -> dict[str, Result]:
    """Held results: one with a planted finding, one super-resolved."""
    noisy = degrade(head, DegradeRequest("denoise", noise="5%", seed=7))
    clean = restore_volume(noisy, RestoreRequest("denoise"), policy="clinical")
    # The demo's lesion at two thirds of its contrast: clear enough to be found, not so clear that the gate rejects.
    strong = _planted(clean.restoration).restoration.image
    image = clean.restoration.image + 0.68 * (strong - clean.restoration.image)
    planted = judge_restoration(replace(clean.restoration, image=image, estimate=image), policy="clinical")
    assert planted.verdict.word == "review"
    assert planted.judgement.findings
    coarse = degrade(head, DegradeRequest("superres", scale=2, seed=7))
    return {"planted": planted, "x2": restore_volume(coarse, RestoreRequest("superres", scale=2), policy="clinical")}


@pytest.fixture(scope="session")
def upload_file(head: Volume, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A noisy scan as a file, which a reader drags onto the page."""
    path = tmp_path_factory.mktemp("upload") / "scan.nii.gz"
    write_degraded(degrade(head, DegradeRequest("denoise", noise="5%", seed=3)), path)
    return path


@pytest.fixture(scope="session")
def service(results: dict[str, Result], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service with two held studies."""
    pytest.importorskip("medsr.service.api.app", reason="the api is not in this tree")
    folder = tmp_path_factory.mktemp("service")
    before = os.environ.get("XDG_CONFIG_HOME")
    os.environ["XDG_CONFIG_HOME"] = str(folder / "config")
    try:
        with serving(folder) as made:
            for name, result in results.items():
                published(made.store, result, folder / name)
            yield made
    finally:
        if before is None:
            os.environ.pop("XDG_CONFIG_HOME", None)
        else:
            os.environ["XDG_CONFIG_HOME"] = before


@pytest.fixture(scope="session")
def browser(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Headless Chromium, signed in by nobody yet."""
    pytest.importorskip("selenium")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("chromium is not installed (apt-get install chromium chromium-driver)")
    with started(chromium, driver, service.address, tmp_path_factory.mktemp("downloads")) as made:
        yield made


@pytest.fixture
def signed_in(browser: Browser, service: Service) -> Browser:
    """The browser at the worklist, signed in, at 1280 x 800."""
    browser.size(1280, 800)
    browser.sign_in(service.key)
    browser.complaints()
    return browser
