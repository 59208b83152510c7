"""A request that contradicts itself is refused when it is made."""

from __future__ import annotations

import pytest

from medsr.errors import UsageError
from medsr.restore.request import RestoreRequest


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"task": "sharpen"}, "restore.task"),
        ({"task": "denoise", "method": "magic"}, "restore.method"),
        ({"task": "superres", "scale": 1.0}, "restore.scale"),
        ({"task": "superres", "scale": 4.5}, "restore.scale"),
        ({"task": "superres", "scale": float("nan")}, "restore.scale"),
        ({"task": "denoise", "scale": 2.0}, "restore.scale"),
        ({"task": "denoise", "noise": -1.0}, "restore.noise"),
        ({"task": "denoise", "noise": float("nan")}, "restore.noise"),
        ({"task": "denoise", "noise": float("inf")}, "restore.noise"),
        ({"task": "denoise", "device": "tpu"}, "restore.engine"),
        ({"task": "denoise", "precision": "int8"}, "restore.engine"),
        ({"task": "denoise", "threads": 0}, "restore.engine"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(given: dict[str, object], code: str) -> None:
    with pytest.raises(UsageError) as caught:
        RestoreRequest(**given)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "given", [{"task": "denoise"}, {"task": "denoise", "scale": 1, "noise": 0.0}, {"task": "superres", "scale": 1.5}]
)
def test_a_request_that_makes_sense_is_taken(given: dict[str, object]) -> None:
    assert RestoreRequest(**given).method == "regress"
