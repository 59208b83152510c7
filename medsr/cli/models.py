"""medsr models list, show, verify, tune, export"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medsr.cli.console import say, write_json
from medsr.cli.options import Json, Quiet

if TYPE_CHECKING:
    from medsr.models.bundle import Bundle

__all__ = ["app"]

app = typer.Typer(help="Bundles: list, show, verify, tune, export.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of a bundle, as `medsr models list` prints it.")]

NameOrFolder = Annotated[str, typer.Argument(help="Name of an installed bundle, or its folder.")]
Data = Annotated[
    list[Path],
    typer.Option("--data", help="Folder of training scans; may be given again.", exists=True, file_okay=False),
]


@app.command("list", epilog="Example: medsr models list")
def list_(json: Json = False) -> None:
    """List the installed bundles."""
    from medsr.models.catalogue import bundle_record, installed

    records = [bundle_record(bundle) for bundle in installed()]
    if json:
        write_json({"bundles": records})
        return
    for record in records:
        typer.echo(
            f"{record['name']} {record['version']}  {record['modality']}  {record['sha256_short']}  {record['tasks']}"
        )


@app.command("show", epilog="Example: medsr models show mr-inplane")
def show(name: Name, json: Json = False) -> None:
    """Show a bundle's record and card."""
    from medsr.models.catalogue import bundle_record, card, named

    bundle = named(name)
    if json:
        write_json(bundle_record(bundle))
    else:
        typer.echo(card(bundle))


@app.command("verify", epilog="Example: medsr models verify")
def verify(name: Annotated[str | None, typer.Argument(help="One bundle; all by default.")] = None) -> None:
    """Check every file of the bundles against its manifest, and the weights against the network."""
    from medsr.models.bundle import load_network
    from medsr.models.catalogue import installed, named

    for bundle in [named(name)] if name else installed():
        load_network(bundle)
        typer.echo(f"{bundle.name} {bundle.version}: whole, {bundle.sha256[:12]}")


@app.command("tune", epilog="Example: medsr models tune mr-inplane-gan --data train/mri")
def tune(
    bundle: NameOrFolder,
    data: Data,
    slices: Annotated[int, typer.Option("--slices", min=1, help="Middle slices of each scan that are judged.")] = 1,
    quiet: Quiet = False,
) -> None:
    """Fit a GAN end's fidelity or a bridge's spread on whole slices of subjects kept out of training.

    The choice is written into the bundle's metadata, and the bundle's hash changes with it. Tune before calibrating.
    """
    from medsr.evaluate.fitting import tune_bundle

    chosen = _bundle(bundle)
    fitted = tune_bundle(chosen, data, slices=slices, log=lambda line: say(line, quiet=quiet))
    typer.echo(f"{fitted.name} {fitted.version}: {chosen.sha256[:12]} is now {fitted.sha256[:12]}")


@app.command("export", epilog="Example: medsr models export mr-inplane-diffusion --diffusers folder")
def export(
    name: Name,
    diffusers: Annotated[Path, typer.Option("--diffusers", help="Folder to write as a diffusers pipeline.")],
) -> None:
    """Export a bridge with its regressor as a diffusers pipeline folder."""
    from medsr.models.catalogue import named
    from medsr.models.export import export_diffusers

    typer.echo(str(export_diffusers(named(name), diffusers)))


def _bundle(name_or_folder: str) -> Bundle:
    """A bundle by its folder, where there is one, else by its name."""
    from medsr.models.bundle import load_bundle
    from medsr.models.catalogue import named

    folder = Path(name_or_folder)
    return load_bundle(folder) if (folder / "manifest.json").is_file() else named(name_or_folder)
