"""The command line: one thin command a file, each calling one function of a room below.

Rooms are imported inside commands, so that ``--help`` loads neither torch nor pydicom.
"""

from __future__ import annotations

import logging
import sys

import click
import typer

from medsr import __version__
from medsr.cli import (
    audit,
    backup,
    batch,
    bids_app,
    calibrate,
    challenge,
    degrade,
    demo,
    evaluate,
    info,
    keys,
    models,
    purge,
    release,
    restore,
    serve,
    train,
    validate,
    verify,
)
from medsr.cli.console import EXIT_INTERNAL, EXIT_INTERRUPTED, say_error
from medsr.errors import MedsrError

__all__ = ["app", "bids_main", "main"]

app = typer.Typer(
    name="medsr",
    help="Restore MRI and CT, and judge every result before it is released. Research software, not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(name="demo", epilog="Example: medsr demo -o demo-out")(demo.demo)
app.command(name="restore", epilog="Example: medsr restore scan.nii.gz -o out --task denoise")(restore.restore)
app.command(name="validate", epilog="Example: medsr validate scan.nii.gz theirs.nii.gz -o report")(validate.validate)
app.command(name="degrade", epilog="Example: medsr degrade scan.nii.gz -o low.nii.gz --task denoise --noise 5%")(
    degrade.degrade
)
app.command(name="train", epilog="Example: medsr train mr-inplane --data scans/ -o my-bundle")(train.train)
app.command(name="evaluate", epilog="Example: medsr evaluate scans/ --level 'MR denoise' -o evaluation.md")(
    evaluate.evaluate
)
app.command(name="batch", epilog="Example: medsr batch scans/ restored/ --task denoise --workers 4")(batch.batch)
app.command(name="challenge", epilog="Example: medsr challenge mr-inplane scans/ -o challenge.md")(challenge.challenge)
app.command(name="calibrate", epilog="Example: medsr calibrate calib/mri --fold-a train/mri -o validation/calibration")(
    calibrate.calibrate
)
app.command(name="info", epilog="Example: medsr info scan.nii.gz")(info.info)
app.command(
    name="release", epilog='Example: medsr release out --reader "A. Reader" --reason "compared with the input"'
)(release.release)
app.command(name="verify", epilog="Example: medsr verify out/scan_restored.nii.gz")(verify.verify)
app.command(name="purge", epilog="Example: medsr purge --study 1.2.840.113619.2.55.3")(purge.purge)
app.command(name="backup", epilog="Example: medsr backup /backup/medsr-monday")(backup.backup)
app.command(name="serve", epilog="Example: medsr serve --store jobs --port 8080")(serve.serve)
app.add_typer(models.app, name="models")
app.add_typer(keys.app, name="keys")
app.add_typer(audit.app, name="audit")


@app.callback(invoke_without_command=True)
def _version(
    version: bool = typer.Option(False, "--version", help="Print the version and exit.", is_eager=True),
) -> None:
    if version:
        typer.echo(f"medsr {__version__}")
        raise typer.Exit


bids = typer.Typer(
    name="medsr-bids",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
bids.command(epilog="Example: medsr-bids dataset/ derivatives/medsr participant --participant-label 01")(
    bids_app.bids_app
)


def main() -> None:
    """Run the command line."""
    _run(app)


def bids_main() -> None:
    """Run the BIDS App."""
    _run(bids)


def _run(app: typer.Typer) -> None:
    """The one place where an error becomes an exit code."""
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").addHandler(logging.NullHandler())
    try:
        code = app(standalone_mode=False)
    except MedsrError as error:
        say_error(error)
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        sys.stderr.write("interrupted\n")
        code = EXIT_INTERRUPTED
    except BrokenPipeError:
        code = 0
    except Exception as error:  # the last door: a user gets one line and a code, the traceback goes to -v
        logging.getLogger("medsr").debug("internal error", exc_info=True)
        sys.stderr.write(f"internal error: {type(error).__name__}; run again with -v and report what it prints\n")
        code = EXIT_INTERNAL
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
