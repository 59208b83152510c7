"""Arithmetic of what one client may ask."""

from __future__ import annotations

import pytest

from medsr.service.api.limits import Attempts, Pace, Slots


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


def test_a_key_has_its_requests_a_second_and_waits_as_long_as_it_is_told() -> None:
    clock = Hands()
    pace = Pace(20, clock)
    assert [pace.wait_s("a") for _ in range(20)] == [0.0] * 20
    wait = pace.wait_s("a")
    assert 0 < wait <= 0.05
    assert pace.wait_s("b") == 0, "another key is not slowed"
    clock.at += wait
    assert pace.wait_s("a") == 0
    assert pace.wait_s("a") > 0


def test_a30_the_sixth_wrong_key_of_a_minute_is_too_many() -> None:
    clock = Hands()
    attempts = Attempts(5, clock)
    assert [attempts.failed("10.0.0.1") for _ in range(5)] == [0.0] * 5
    assert attempts.failed("10.0.0.1") > 0
    assert attempts.failed("10.0.0.2") == 0
    clock.at += 61
    assert attempts.failed("10.0.0.1") == 0


def test_slots_come_back_also_after_an_error() -> None:
    slots = Slots(2)
    with slots.one("a") as first, slots.one("a") as second, slots.one("a") as third, slots.one("b") as other:
        assert (first, second, third, other) == (True, True, False, True)
    with pytest.raises(OSError, match="broken"), slots.one("a"):
        raise OSError("broken")
    with slots.one("a") as first, slots.one("a") as second:
        assert first
        assert second


def test_a_flood_of_addresses_costs_bounded_memory() -> None:
    attempts, pace = Attempts(5, Hands()), Pace(20, Hands())
    for number in range(20_000):
        attempts.failed(str(number))
        pace.wait_s(str(number))
    assert len(attempts._failed) <= 10_000
    assert len(pace._left) <= 10_000
