"""From the printed key to the released file: a real `medsr serve`, its own worker, and a browser."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.browser import Browser, started
from support.processes import Service
from support.service_work import tiny_scan

from medsr.jobs.decisions import decisions
from medsr.jobs.files import file_path
from medsr.jobs.listing import jobs
from medsr.jobs.results import result_files
from medsr.jobs.store import close_store, open_store

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    yield made
    made.process.kill()
    made.process.wait()


@pytest.fixture
def reader(running: Service, tmp_path: Path) -> Iterator[Browser]:
    pytest.importorskip("selenium")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("chromium is not installed (apt-get install chromium chromium-driver)")
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    with started(chromium, driver, running.url(), downloads) as made:
        yield made


def test_a_scan_goes_through_the_running_service_to_a_file_that_is_the_stored_one(
    reader: Browser, running: Service, tmp_path: Path
) -> None:
    reader.size(1280, 800)
    reader.sign_in(running.key.read_text().strip())
    reader.drop("#drop", tiny_scan(tmp_path / "scan.nii.gz"))
    reader.until(lambda: "scan.nii.gz" in reader.one("#chosen").text)
    reader.script("document.getElementById('modality').value = 'mr'")
    reader.one("#send").click()
    reader.until(lambda: reader.one("#open").is_displayed(), within_s=60)
    assert reader.one("#stage").text == "Held for review"
    reader.one("#open").click()
    reader.settled()
    reader.one("[data-decide='released']").click()
    reader.one("input[name='compared'][value='yes']").click()
    reader.one("#reason").send_keys("compared slice by slice")
    reader.one("#decide-confirm").click()
    link = reader.until(lambda: reader.one(".files a[href$='.nii.gz']"))
    name = link.text
    link.click()
    reader.until((reader.downloads / name).is_file)
    assert reader.complaints() == []
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(40) == 0
    _same(running.store, reader.downloads / name)


def _same(folder: Path, downloaded: Path) -> None:
    store = open_store(folder, create=False)
    try:
        [job] = jobs(store).items
        assert job.state == "released"
        [decided] = decisions(store, job.id)
        assert (decided.verdict, decided.output_sha256) == ("released", job.output_sha256)
        [kept] = [file for file in result_files(store, job.id) if file.name == downloaded.name]
        assert downloaded.read_bytes() == file_path(store.files, kept.sha256).read_bytes()
    finally:
        close_store(store)
