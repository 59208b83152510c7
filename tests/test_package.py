"""``import medsr`` gives four functions, whatever was imported before."""

from __future__ import annotations

import importlib

import medsr
from medsr.pipeline import functions


def test_the_functions_are_those_of_the_contract():
    for name in ("read", "degrade", "restore", "validate"):
        assert getattr(medsr, name) is getattr(functions, name)


def test_restore_stays_the_function_after_the_room_of_that_name_was_imported():
    room = importlib.import_module("medsr.restore.request")
    assert room.RestoreRequest.__module__ == "medsr.restore.request"
    importlib.reload(importlib.import_module("medsr.restore"))
    assert medsr.restore is functions.restore
