"""The api's process refuses to import a framework: everything that it does must work without one."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
for name in ("torch", "monai", "diffusers"):
    sys.modules[name] = None
import medsr.service.page.routes, medsr.service.api.app, medsr.jobs.decisions
from medsr.release.record import signed, signing_key, verify_file
"""


def test_page_and_signing_load_no_framework() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=60)
