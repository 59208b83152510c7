"""A run over a folder: every scan once, whatever dies."""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from medsr.batch import pool, run
from medsr.batch.item import BatchOptions, Pins, key_of
from medsr.batch.ledger import Ledger
from medsr.batch.pool import Limits
from medsr.batch.run import Where, run_batch
from medsr.batch.scan import restore_item
from medsr.errors import UsageError
from medsr.release import decide_held, verify_file


def here(deeds, options, output, *, pins, workers, limits, on_row, on_tick):
    """The pool without processes, for tests of what stands around it."""
    for deed in deeds:
        on_row(restore_item(deed.item, options, output, input_sha256=deed.input_sha256, pins=pins))


@pytest.fixture
def in_process(monkeypatch):
    monkeypatch.setattr(run, "run_pool", here)


def test_one_bad_scan_never_stops_the_run(in_process, scans, options, tmp_path):
    summary = run_batch(scans, tmp_path / "out", options, where=Where())
    rows = {row.name: row for row in summary.rows}
    assert rows["broken"].status == "failed"
    assert rows["broken"].code == "nifti.not_nifti"
    for name in ("scan1", "scan2"):
        assert rows[name].status == "done"
        assert (tmp_path / "out" / rows[name].output / "report.html").is_file()


def test_a_second_run_does_nothing_but_the_failed(in_process, scans, options, tmp_path):
    first = run_batch(scans, tmp_path / "out", options, where=Where())
    before = (tmp_path / "out" / "scans" / "scan1" / "report.json").stat().st_mtime_ns
    again = run_batch(scans, tmp_path / "out", options, where=Where())
    assert (first.resumed, again.resumed) == (0, 2)
    assert (tmp_path / "out" / "scans" / "scan1" / "report.json").stat().st_mtime_ns == before
    lines = [json.loads(line) for line in (tmp_path / "out" / "run.jsonl").read_text().splitlines()]
    assert sorted(line["name"] for line in lines) == ["broken", "broken", "scan1", "scan2"]


def test_other_options_make_every_scan_new(in_process, scans, options, tmp_path):
    run_batch(scans, tmp_path / "out", options, where=Where())
    other = replace(options, request=replace(options.request, noise=35.0))
    assert run_batch(scans, tmp_path / "out", other, where=Where()).resumed == 0


def test_a_result_that_was_changed_on_disk_is_made_again(in_process, scans, options, tmp_path):
    first = run_batch(scans, tmp_path / "out", options, where=Where())
    row = next(row for row in first.rows if row.name == "scan1")
    (tmp_path / "out" / row.output / "report.json").write_bytes(b"{}")
    assert run_batch(scans, tmp_path / "out", options, where=Where()).resumed == 1


def test_a_readers_decision_stands_and_is_not_made_undone(in_process, scans, options, tmp_path):
    clinical = replace(options, policy="clinical")
    first = run_batch(scans, tmp_path / "out", clinical, where=Where())
    row = next(row for row in first.rows if row.word == "review")
    decide_held(tmp_path / "out" / row.output, reader="A", reason="compared", event="approve")
    again = run_batch(scans, tmp_path / "out", clinical, where=Where())
    assert next(item for item in again.rows if item.name == row.name).word == "released"
    assert again.resumed == 2


def test_a_changed_policy_in_the_middle_of_a_run_is_a_row(scans, options, tmp_path):
    pins = replace(Pins.now("research"), policy="0" * 64)
    item = run.find_items(scans, besides=tmp_path / "out")[1]
    row = restore_item(item, options, tmp_path / "out", input_sha256="1" * 64, pins=pins)
    assert (row.status, row.code) == ("failed", "batch.changed")
    assert not (tmp_path / "out" / "scans").exists()


def test_a_second_attempt_at_a_published_deed_returns_the_first_ones_row(scans, options, tmp_path):
    output, pins = tmp_path / "out", Pins.now("research")
    item = run.find_items(scans, besides=output)[1]
    first = restore_item(item, options, output, input_sha256="1" * 64, pins=pins)
    when = (output / first.output / "report.json").stat().st_mtime_ns
    again = restore_item(item, options, output, input_sha256="1" * 64, pins=pins)
    assert again == first
    assert (output / first.output / "report.json").stat().st_mtime_ns == when


def test_a_full_disk_is_a_row_with_its_reason(scans, options, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("medsr.pipeline.walk.Result.save", full)
    item = run.find_items(scans, besides=tmp_path / "out")[1]
    row = restore_item(item, options, tmp_path / "out", input_sha256="1" * 64, pins=Pins.now("research"))
    assert (row.status, row.code) == ("failed", "batch.disk_full")


def test_memory_that_torch_cannot_get_is_a_row_with_its_reason(scans, options, tmp_path, monkeypatch):
    def none(*_, **__):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 10 bytes")

    monkeypatch.setattr("medsr.batch.scan.restore_volume", none)
    item = run.find_items(scans, besides=tmp_path / "out")[1]
    row = restore_item(item, options, tmp_path / "out", input_sha256="1" * 64, pins=Pins.now("research"))
    assert (row.status, row.code) == ("failed", "batch.memory")


def test_what_another_run_writes_is_left_alone(in_process, scans, options, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    with pytest.raises(UsageError) as caught:
        run_batch(scans, tmp_path / "out", options, where=Where())
    assert caught.value.code == "batch.output"


def test_two_runs_on_one_folder_do_not_mix(in_process, scans, options, tmp_path):
    run_batch(scans, tmp_path / "out", options, where=Where())
    with run._only_run(tmp_path / "out", None), pytest.raises(UsageError) as caught:
        run_batch(scans, tmp_path / "out", options, where=Where())
    assert caught.value.code == "batch.running"
    run_batch(scans, tmp_path / "out", options, where=Where(shard=(1, 1)))


def test_the_shards_together_are_the_run(in_process, scans, options, tmp_path):
    names = [
        row.name
        for part in (1, 2)
        for row in run_batch(scans, tmp_path / "out", options, where=Where(shard=(part, 2))).rows
    ]
    assert sorted(names) == ["broken", "scan1", "scan2"]
    with (tmp_path / "out" / "summary.tsv").open(newline="") as stream:
        assert {row["name"] for row in csv.DictReader(stream, delimiter="\t")} == set(names)


@pytest.mark.slow
def test_a_killed_worker_costs_one_more_attempt_and_no_scan(scans, options, tmp_path, monkeypatch):
    """The worker is killed at its first word; its scan is tried again at the end."""
    killed = []
    plain = pool._hear

    def hear(run_, worker):
        if not killed and worker.deed is not None and worker.deed.item.name == "scan1":
            killed.append(worker.process.pid)
            os.kill(worker.process.pid, signal.SIGKILL)
            worker.process.join()
        plain(run_, worker)

    monkeypatch.setattr(pool, "_hear", hear)
    summary = run_batch(scans, tmp_path / "out", options, where=Where(workers=2))
    row = next(row for row in summary.rows if row.name == "scan1")
    assert killed
    assert (row.status, row.attempts) == ("done", 2)
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_a_scan_that_hangs_twice_is_listed_and_the_others_are_done(scans, options, tmp_path, monkeypatch):
    plain = pool._give

    def give(worker, deed, attempts):
        # Never told of its scan, it hangs; one that is stopped is continued when its process group is orphaned.
        if deed.item.name == "scan2":
            worker.deed, worker.since = deed, time.monotonic()
        else:
            plain(worker, deed, attempts)

    monkeypatch.setattr(pool, "_give", give)
    summary = run_batch(scans, tmp_path / "out", options, where=Where(workers=2, limits=Limits(25.0)))
    rows = {row.name: row for row in summary.rows}
    assert (rows["scan2"].status, rows["scan2"].code) == ("failed", "batch.time")
    assert rows["scan1"].status == "done"


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_where_it_was(scans, tmp_path):
    """SIGKILL of the whole run after its first row; the next run ends it, each scan published once."""
    output = tmp_path / "out"
    code = "import sys; from medsr.cli.main import main; sys.exit(main())"
    command = [
        sys.executable,
        "-c",
        code,
        "batch",
        str(scans),
        str(output),
        "--noise",
        "30",
        "--workers",
        "1",
        "--quiet",
    ]
    first = subprocess.Popen(command)
    deadline = time.monotonic() + 120
    while not list((output / ".medsr" / "rows").glob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    first.kill()
    first.wait()
    done = subprocess.run([*command, "--json"], stdout=subprocess.PIPE, check=False)
    assert done.returncode == 6  # the broken one
    rows = json.loads(done.stdout)["rows"]
    assert sorted(row["name"] for row in rows) == ["broken", "scan1", "scan2"]
    finished = [row for row in Ledger(output).rows() if row.status == "done"]
    assert sorted(row.name for row in finished) == ["scan1", "scan2"]
    for row in finished:
        for record in (output / row.output).rglob("*.medsr.json"):
            assert verify_file(record)


def test_the_key_follows_all_that_decides_an_output(scans, options):
    item = run.find_items(scans, besides=scans)[0]
    pins = Pins(("a",), "p")
    keys = {
        key_of(item, "1", options, pins),
        key_of(item, "2", options, pins),
        key_of(replace(item, name="other"), "1", options, pins),
        key_of(item, "1", replace(options, policy="clinical"), pins),
        key_of(item, "1", options, replace(pins, bundles=("b",))),
        key_of(item, "1", options, replace(pins, policy="q")),
        key_of(item, "1", BatchOptions(replace(options.request, seed=1)), pins),
    }
    assert len(keys) == 7
    assert key_of(item, "1", replace(options, request=replace(options.request, threads=4)), pins) in keys


@pytest.mark.slow
def test_dask_workers_restore_every_scan_and_a_second_run_finds_them_done(scans, options, tmp_path):
    pytest.importorskip("distributed", reason="dask is not installed (extra cluster)")
    output = tmp_path / "out"
    summary = run_batch(scans, output, options, where=Where(runner="dask", workers=2))
    rows = {row.name: row for row in summary.rows}
    assert {name: row.status for name, row in rows.items()} == {"broken": "failed", "scan1": "done", "scan2": "done"}
    assert rows["broken"].code == "nifti.not_nifti"
    assert run_batch(scans, output, options, where=Where()).resumed == 2
