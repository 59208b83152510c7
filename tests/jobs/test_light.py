"""The store serves an api that never runs a model: it loads no framework."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import medsr


def test_importing_every_module_of_the_room_loads_no_framework():
    folder = Path(medsr.__file__).parent / "jobs"
    names = [f"medsr.jobs.{path.stem}" for path in sorted(folder.glob("*.py")) if path.stem != "__init__"]
    code = (
        "import importlib, sys\n"
        f"for name in {names}: importlib.import_module(name)\n"
        "print([name for name in ('torch', 'monai', 'diffusers', 'pydicom', 'nibabel') if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=environment)
    assert done.stdout.decode().strip() == "[]"
