"""Help is instant, complete, and loads no framework."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer

from medsr.cli.main import app

COMMANDS = sorted(typer.main.get_command(app).commands)
HEAVY = ("torch", "monai", "diffusers", "pydicom", "nibabel", "scipy", "skimage", "matplotlib", "numpy")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_an_example(medsr, name):
    ran = medsr(name, "--help")
    assert ran.code == 0
    group = typer.main.get_command(app).commands[name]
    texts = [ran.out] if not hasattr(group, "commands") else [medsr(name, sub, "--help").out for sub in group.commands]
    assert all("Example: medsr" in text for text in texts)


def called(*arguments):
    run = "from medsr.cli.main import main\ntry: main()\nexcept SystemExit: pass"
    return f"import sys; sys.argv = {['medsr', *arguments]}\n{run}"


@pytest.mark.parametrize(
    "code", ["import medsr", "import medsr.cli.main", called("--help"), called("restore", "--help")]
)
def test_import_and_help_load_nothing_heavy(code):
    """Measured by what is in sys.modules, not by time: torch alone takes 1.6 s to import."""
    check = f"{code}\nimport sys\nprint([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, check=True)
    assert done.stderr.decode().splitlines()[-1] == "[]"


def test_no_arguments_show_the_help(medsr):
    assert "restore" in medsr().out


def test_the_version_is_printed(medsr):
    assert medsr("--version").out.startswith("medsr ")
