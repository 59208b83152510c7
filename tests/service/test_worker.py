"""A claimed job ends released, held, refused, blocked or back in the queue, and never otherwise."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time

import pytest
from support.service_work import SETTINGS, asked, one, site, tiny_scan
from support.stores import LIMITS

from medsr.jobs.claims import claim, judging, reap
from medsr.jobs.events import events_after
from medsr.jobs.files import file_path
from medsr.jobs.listing import job
from medsr.jobs.results import result_files
from medsr.jobs.store import close_store, open_store
from medsr.jobs.submit import cancel
from medsr.service import pace as pace_module
from medsr.service import work as work_module
from medsr.service.pace import Heart, Pace, Stopped
from medsr.service.worker import is_out_of_memory
from medsr.settings import settings as limits


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    return tiny_scan(tmp_path_factory.mktemp("scan") / "scan.nii.gz").read_bytes()


@pytest.fixture(autouse=True)
def _site(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("MEDSR_MODELS", str(site(tmp_path)))
    limits.cache_clear()
    yield
    monkeypatch.undo()
    limits.cache_clear()


@pytest.fixture
def store(tmp_path):
    made = open_store(tmp_path / "store", limits=dataclasses.replace(LIMITS, lease_s=1.0))
    yield made
    close_store(made)


def test_a_job_is_judged_and_published_and_leaves_no_work_behind(store, scan):
    made = asked(store, scan)
    one(store)
    ended = job(store, made.id)
    assert ended.state in ("released", "review", "rejected")
    assert ended.verdict == ended.state
    assert {file.name for file in result_files(store, made.id)} >= {"report.json", "report.html"}
    assert ended.summary["modality"] == "MR"
    assert not list((store.folder / "work").iterdir())


def test_clinical_holds_what_has_no_calibration_record(store, scan):
    made = asked(store, scan, policy="clinical")
    one(store)
    assert job(store, made.id).state in ("review", "rejected")


def test_a_restart_only_judges(store, scan, monkeypatch):
    made = asked(store, scan)
    with monkeypatch.context() as broken:
        broken.setattr(work_module, "judge_restoration", lambda *_, **__: (_ for _ in ()).throw(ValueError("made")))
        one(store)
    assert job(store, made.id).state == "judging"
    _lose(store)
    monkeypatch.setattr(work_module, "restore", lambda *_, **__: pytest.fail("restored again"))
    one(store)
    assert job(store, made.id).state in ("released", "review", "rejected")
    assert job(store, made.id).attempts == 2


def test_anybodys_candidate_is_judged_and_gives_reports_alone(store, scan, tmp_path):
    other = tiny_scan(tmp_path / "theirs.nii.gz", seed=1).read_bytes()
    made = asked(store, scan, {}, candidate=other)
    one(store)
    assert job(store, made.id).state in ("review", "rejected")
    assert {file.name for file in result_files(store, made.id)} == {"report.json", "report.html"}


@pytest.mark.parametrize(
    ("data", "parameters", "reason"),
    [
        (b"\x1f\x8bno scan", None, "nifti.truncated"),
        (None, {"task": "superres", "scale": 9.0}, "restore.scale"),
        (None, {"task": "denoise", "container": "dicom"}, "write.no_headers"),
        (None, {"task": "denoise", "container": "png"}, "job.request"),
        (None, {"task": "denoise", "colour": "red"}, "job.request"),
        (None, {"task": "denoise", "operator": {"kind": "nobody"}}, "operator.unknown"),
    ],
)
def test_a_refusal_fails_the_job_with_its_reason_and_writes_nothing(store, scan, data, parameters, reason):
    made = asked(store, data or scan, parameters)
    one(store)
    ended = job(store, made.id)
    assert (ended.state, ended.reason) == ("failed", reason)
    assert not result_files(store, made.id)


def test_f15_rot_in_an_input_blocks(store, scan):
    made = asked(store, scan)
    path = file_path(store.files, made.input_sha256)
    path.chmod(0o600)
    path.write_bytes(scan[:-1] + bytes([scan[-1] ^ 1]))
    one(store)
    assert (job(store, made.id).state, job(store, made.id).reason) == ("blocked", "store.rot")


def test_f17_what_a_job_was_pinned_to_has_changed(store, scan, tmp_path, monkeypatch):
    bundle, setting = asked(store, scan), None
    (tmp_path / "models" / "aa-tiny").rename(tmp_path / "models" / "away")
    (tmp_path / "models" / "away" / "configs" / "metadata.json").unlink()
    one(store)
    assert (job(store, bundle.id).state, job(store, bundle.id).reason) == ("blocked", "pin.bundle")
    setting = asked(store, scan)
    monkeypatch.setenv("MEDSR_TILE_MEMORY_BYTES", "1000000000")
    limits.cache_clear()
    one(store)
    assert (job(store, setting.id).state, job(store, setting.id).reason) == ("blocked", "pin.configuration")


def test_f17_a_policy_that_was_edited_blocks(store, scan, tmp_path, monkeypatch):
    from medsr.resources import data_root

    text = (data_root("validation") / "policies" / "research.toml").read_text()
    (tmp_path / "policies").mkdir()
    site_policy = tmp_path / "policies" / "ours.toml"
    site_policy.write_text(text.replace('name = "research"', 'name = "ours"'))
    monkeypatch.setenv("MEDSR_POLICIES", str(tmp_path / "policies"))
    limits.cache_clear()
    made = asked(store, scan, policy="ours")
    site_policy.write_text(site_policy.read_text() + "\n")
    one(store)
    assert (job(store, made.id).state, job(store, made.id).reason) == ("blocked", "pin.policy")


def test_f10_a_job_without_memory_fails_and_the_next_one_runs(store, scan, monkeypatch):
    made, neighbour = asked(store, scan), asked(store, scan, {"task": "denoise", "seed": 1})
    real = work_module.restore

    def hungry(volume, request, **options):
        if request.seed == 0:
            raise MemoryError
        return real(volume, request, **options)

    monkeypatch.setattr(work_module, "restore", hungry)
    one(store)
    one(store)
    assert (job(store, made.id).state, job(store, made.id).reason) == ("failed", "job.memory")
    assert job(store, neighbour.id).state in ("released", "review", "rejected")
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"))
    assert not is_out_of_memory(RuntimeError("made"))


def _lose(store):
    """Let leases end."""
    time.sleep(store.limits.lease_s + 0.1)
    assert reap(store) == 1


@pytest.mark.slow
def test_f11_a_job_that_raises_ends_after_three_attempts(store, scan, monkeypatch):
    made = asked(store, scan)
    monkeypatch.setattr(work_module, "restore", lambda *_, **__: (_ for _ in ()).throw(ZeroDivisionError))
    for attempt in (1, 2, 3):
        held = one(store)
        assert held.job.attempts == attempt
        _lose(store)
    assert (job(store, made.id).state, job(store, made.id).reason) == ("failed", "job.attempts")
    assert claim(store, "worker") is None


def test_f16_a_zombie_cannot_publish(store, scan, monkeypatch):
    made = asked(store, scan)
    real = work_module.publish

    def slept(place, held, release, **options):
        time.sleep(store.limits.lease_s + 0.1)
        assert reap(store) == 1
        newer = claim(store, "another")
        assert newer is not None
        judging(store, newer)
        return real(place, held, release, **options)

    monkeypatch.setattr(work_module, "publish", slept)
    one(store)
    assert job(store, made.id).state == "judging"
    assert job(store, made.id).worker == "another"
    assert not result_files(store, made.id)


@pytest.fixture
def heart(store, monkeypatch):
    """A heart beating for a claim of the test, whose end of the process is noted instead."""
    left = []

    def leave(code):
        left.append(code)
        raise SystemExit(code)

    monkeypatch.setattr(pace_module.os, "_exit", leave)
    beating = Heart(store, SETTINGS, lambda: None)

    def run():
        with contextlib.suppress(SystemExit):
            beating._run()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield beating, left
    beating.stop()
    thread.join(5)


def _until(found, seconds=10.0):
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_claim_is_kept_while_work_moves(store, scan, heart):
    asked(store, scan)
    held = claim(store, "worker")
    moving = Pace()
    with heart[0].holding(held, moving):
        for done in range(20):
            moving.tick(done, 20)
            time.sleep(0.1)
        assert reap(store) == 0
    assert not heart[1]


def test_f11_a_hung_worker_loses_its_lease_and_ends_itself(store, scan, heart):
    made = asked(store, scan)
    held = claim(store, "worker")
    with heart[0].holding(held, Pace()):
        _until(lambda: heart[1])
    assert heart[1] == [1]
    _until(lambda: reap(store) == 1)
    assert job(store, made.id).state == "queued"


def test_a_job_over_its_wall_clock_fails_with_its_reason(store, scan, heart):
    made = asked(store, scan)
    held = claim(store, "worker")
    with heart[0].holding(held, Pace(wall_until=time.monotonic())):
        _until(lambda: heart[1])
    assert (job(store, made.id).state, job(store, made.id).reason) == ("failed", "job.wall")


def test_cancel_reaches_the_work_at_its_next_step(store, scan, heart):
    made = asked(store, scan)
    held, moving = claim(store, "worker"), Pace()
    cancel(store, made.id, owner="sender", actor="sender")
    with heart[0].holding(held, moving):
        _until(lambda: moving.order != "go_on")
        with pytest.raises(Stopped) as caught:
            moving.tick(1, 2)
    assert caught.value.order == "cancel"


def test_cancel_ends_a_worker_that_does_not_hear(store, scan, heart):
    made = asked(store, scan)
    held = claim(store, "worker")
    cancel(store, made.id, owner="sender", actor="sender")
    with heart[0].holding(held, Pace()):
        _until(lambda: heart[1])
    assert job(store, made.id).state == "cancelled"


def test_f22_what_is_not_done_when_the_drain_ends_goes_back_without_counting(store, scan, heart):
    made = asked(store, scan)
    held = claim(store, "worker")
    with heart[0].holding(held, Pace(waits_for_child=True)):
        heart[0]._drain_until = time.monotonic()
        _until(lambda: heart[1])
    assert heart[1] == [0]
    after = job(store, made.id)
    assert (after.state, after.attempts) == ("queued", 0)


def test_progress_is_told_as_events(store, scan, heart):
    made = asked(store, scan)
    held, moving = claim(store, "worker"), Pace()

    def told():
        return [event.data.get("stage") for event in events_after(store, made.id) if event.kind == "progress"]

    with heart[0].holding(held, moving), moving.entering("restore"):
        moving.tick(1, 2)
        _until(lambda: "restore" in told())
