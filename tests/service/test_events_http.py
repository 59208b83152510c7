"""Event streams: complete, in order, taken up where they broke, and over when the job is."""

from __future__ import annotations

import threading
import time as clock

import pytest
from support.serving import problem, served
from support.stores import queued, release_of, run

from medsr.client.client import _parsed
from medsr.jobs.claims import beat, claim, judging
from medsr.jobs.nouns import Progress
from medsr.jobs.publish import publish
from medsr.service.api import ApiSettings


def follow(client, job_id, **headers):
    """All events of a stream until it ends."""
    with client.stream("GET", f"/v1/jobs/{job_id}/events", headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        return list(_parsed(response.iter_lines()))


def test_a_judged_job_replays_everything_and_ends(api, store, tmp_path):
    queued(store)
    job = run(store, tmp_path / "out", "released")
    events = follow(api.client("read"), job.id)
    assert [event.get("seq") for event in events] == [*range(1, len(events)), None]
    assert [event["data"]["state"] for event in events[:-1]] == ["queued", "running", "judging", "released"]
    assert events[-1]["kind"] == "end"


def test_last_event_id_replays_what_came_after_and_nothing_more(api, store, tmp_path):
    queued(store)
    job = run(store, tmp_path / "out", "released")
    client = api.client("read")
    assert [event.get("seq") for event in follow(client, job.id, **{"Last-Event-ID": "2"})] == [3, 4, None]
    again = client.get(f"/v1/jobs/{job.id}/events", headers={"Last-Event-ID": "4"})
    assert (again.status_code, again.content) == (204, b""), "a browser then stops connecting"


def test_events_come_within_a_second_of_their_deed(api, store, tmp_path):
    """The stream is open before anything happens; each event is timed against its deed."""
    job = queued(store)
    seen: list[tuple[float, dict]] = []
    client = api.client("read")

    def watch():
        with client.stream("GET", f"/v1/jobs/{job.id}/events") as response:
            seen.extend((clock.monotonic(), event) for event in _parsed(response.iter_lines()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    until(lambda: any(event["kind"] == "queue" for _, event in seen))
    assert [event["position"] for _, event in seen if event["kind"] == "queue"] == [1]
    deeds = []
    held = claim(store, "w")
    deeds.append(clock.monotonic())
    until(lambda: len(states(seen)) == 2)
    beat(store, held, Progress("restore", 0.4))
    deeds.append(clock.monotonic())
    until(lambda: any(event["kind"] == "progress" for _, event in seen))
    judging(store, held)
    publish(store, held, release_of(tmp_path / "out", "released"))
    watcher.join(10)
    assert not watcher.is_alive()
    assert states(seen) == ["queued", "running", "judging", "released"]
    running = next(at for at, event in seen if event.get("data", {}).get("state") == "running")
    progress = next(at for at, event in seen if event["kind"] == "progress")
    assert running - deeds[0] < 1
    assert progress - deeds[1] < 1


def states(seen) -> list[str]:
    return [event["data"]["state"] for _, event in seen if event["kind"] == "state"]


def until(condition, seconds: float = 10) -> None:
    deadline = clock.monotonic() + seconds
    while not condition():
        assert clock.monotonic() < deadline
        clock.sleep(0.01)


def test_the_place_in_the_queue_is_told_when_it_changes(api, store, time):
    queued(store, b"1")
    time.sleep(1)
    second = queued(store, b"2")
    places: list[int] = []
    client = api.client("read")

    def watch():
        with client.stream("GET", f"/v1/jobs/{second.id}/events") as response:
            for event in _parsed(response.iter_lines()):
                if event["kind"] == "queue":
                    places.append(event["position"])
                    if len(places) == 2:
                        return

    watcher = threading.Thread(target=watch)
    watcher.start()
    until(lambda: places == [2])
    claim(store, "w")
    watcher.join(10)
    assert places == [2, 1]


def test_a_silent_stream_says_that_it_is_there(store):
    job = queued(store)
    with served(store, ApiSettings(events_comment_s=0.2, events_poll_s=0.05)) as api:
        with api.client("read").stream("GET", f"/v1/jobs/{job.id}/events") as response:
            for line in response.iter_lines():
                if line.startswith(":"):
                    break
        assert line == ": still here"


@pytest.mark.parametrize("last", ["abc", "-1", "1e9", "99999999999"])
def test_a_number_that_is_none_is_refused(api, store, last):
    job = queued(store)
    answer = api.client("read").get(f"/v1/jobs/{job.id}/events", headers={"Last-Event-ID": last})
    problem(answer, 422, "http.invalid")
