"""What a reader child does: read a volume into memory it was granted, or survey what is there.

Everything here runs on bytes of strangers. It answers with a closed record; it raises nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from medsr.errors import MedsrError, Refusal
from medsr.io.child.task import Task
from medsr.io.dicom.read import read_dicom
from medsr.io.dicom.survey import survey_dicom
from medsr.io.nifti.read import read_nifti
from medsr.io.planes import Grant, Reply
from medsr.settings import settings

__all__ = ["answer", "install_settings"]


def answer(task: Task, grant: Grant, *, at: Callable[[str], None]) -> Reply:
    """Do the task; whatever happens comes out as a reply.

    `at` is told the name of what is decoded next, so that a child that dies can be said to have died there.
    """
    try:
        if task.verb == "nifti":
            return read_nifti(Path(task.files[0]), grant, modality=task.modality)
        paths = tuple(Path(name) for name in task.files)
        if task.verb == "survey":
            return survey_dicom(paths, name=task.name)
        return read_dicom(
            paths, grant, name=task.name, modality=task.modality, pick=task.pick, gaps=task.gaps, at=at
        )  # fmt: skip
    except MedsrError as error:
        return _failed(error)
    except MemoryError:
        return _failed(Refusal("reader.limit", f"reading {task.name} took more memory than its bytes justify"))
    except OSError as error:
        return _failed(Refusal("io.unreadable", f"{task.name} cannot be read ({type(error).__name__})"))
    except BaseException as error:  # noqa: BLE001 -- parsers of hostile bytes raise anything, even panics
        return _failed(Refusal("reader.failed", f"{task.name} makes the reader fail ({type(error).__name__})"))


def install_settings(record: object) -> None:
    """Take over the asking process's settings: this process may have started before they were changed."""
    for name, value in dict(record).items() if isinstance(record, Mapping) else ():
        os.environ[f"MEDSR_{str(name).upper()}"] = str(value)
    settings.cache_clear()


def _failed(error: MedsrError) -> Reply:
    return Reply({"failed": {"kind": type(error).__name__, "code": error.code, "fact": error.fact}})
