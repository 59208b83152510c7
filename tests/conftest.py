"""Fixtures and settings of the whole suite."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from medsr.resources import data_root

settings.register_profile(
    "suite", deadline=None, derandomize=True, max_examples=25, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")


@pytest.fixture(scope="session")
def data_pack() -> Path:
    """The folder of real scans that MEDSR_DATA names; tests that need it are skipped without it."""
    name = os.environ.get("MEDSR_DATA", "")
    if not name or not Path(name).is_dir():
        pytest.skip("MEDSR_DATA names no folder: this test needs the data pack of real scans")
    return Path(name)


@pytest.fixture(scope="session")
def dev_scans(data_pack: Path) -> Path:
    """Scans for evaluation alone."""
    return data_pack / "dev"


@pytest.fixture(scope="session")
def t1_head() -> Path:
    """The T1 slab that travels with medsr."""
    return data_root("validation") / "demo" / "t1_head.nii.gz"


@pytest.fixture(scope="session")
def ct_chest() -> Path:
    """The CT slab that travels with medsr."""
    return data_root("validation") / "demo" / "ct_chest.nii.gz"


@pytest.fixture(scope="session")
def program() -> object:
    """Path of a Debian program, or a skip that names the package: ``program("dcm2niix")``."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            pytest.skip(f"{name} is not installed (apt-get install; see .ci/run)")
        return path

    return find


ALLOWED_SKIPS = (
    "MEDSR_DATA names no folder",
    "(extra peers",
    "could not import 'bm4d'",
    "no CUDA device",
    "is not installed (apt-get install",
    "this kernel does not let a process",
    "tools/ is not beside the tests",
)
"""Reasons that may skip a test in CI; any other skip there is a failure, so that a test cannot go missing unseen."""


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a skip for a reason that is not listed fails the run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("CI") or reporter is None:
        return
    reasons = [report.longrepr[2] for report in reporter.stats.get("skipped", []) if isinstance(report.longrepr, tuple)]
    unlisted = sorted({reason for reason in reasons if not any(text in reason for text in ALLOWED_SKIPS)})
    if unlisted:
        reporter.write_line(f"skipped for reasons that CI does not allow: {unlisted}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
