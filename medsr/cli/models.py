"""medsr models list, show, verify, tune, memory, card, export"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medsr.cli.console import command_typed, say, write_json
from medsr.cli.options import Json, Quiet

if TYPE_CHECKING:
    from medsr.models.bundle import Bundle

__all__ = ["app"]

app = typer.Typer(help="Bundles: list, show, verify, tune, memory, card, export.", no_args_is_help=True)

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


@app.command("memory", epilog="Example: medsr models memory mr-inplane --data train/mri --inputs dev/mri")
def memory(
    bundle: NameOrFolder,
    data: Data,
    inputs: Annotated[Path, typer.Option("--inputs", help="Scans of other people.", exists=True, file_okay=False)],
    pictures: Annotated[int, typer.Option("--pictures", min=1, help="Searched in each set, for each level.")] = 160,
    seed: Annotated[int, typer.Option("--seed")] = 0,
    quiet: Quiet = False,
) -> None:
    """Look for pieces of training scans in what a bundle supplies; the result goes into its card."""
    from medsr.evaluate.memory import memory_of
    from medsr.evaluate.memory_section import write_memory
    from medsr.evaluate.tables import provenance_line

    chosen = _bundle(bundle)
    found = memory_of(chosen, data, inputs, pictures=pictures, seed=seed, log=lambda line: say(line, quiet=quiet))
    path = write_memory(chosen, found, printed=provenance_line(command_typed()))
    word = "suspicious" if found.suspicious else "no sign of memorisation"
    typer.echo(f"{chosen.name}: {word}, p = {found.p:.2g}, in {path.name}")


@app.command("card", epilog="Example: medsr models card mr-inplane --figures docs/evaluation-mri.json --scans dev/mri")
def card(
    bundle: NameOrFolder,
    figures: Annotated[list[Path], typer.Option("--figures", help="JSON of `medsr evaluate`.", exists=True)],
    scans: Annotated[
        Path | None,
        typer.Option("--scans", help="Evaluated scans: draw the worst slices.", exists=True, file_okay=False),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write what was measured of a bundle into its card; no hash changes."""
    from medsr.evaluate.card import read_figures, write_card
    from medsr.evaluate.failures import failure_section, licences, worst_rows
    from medsr.evaluate.peers.settings import default_file, load_settings

    chosen = _bundle(bundle)
    found = read_figures(chosen, figures)
    shown = licences(scans) if scans else {}
    failures = failure_section(
        chosen,
        worst_rows(chosen, found.rows, shown=shown),
        scans,
        shown=shown,
        slices=found.slices,
        window=found.window,
        settings=load_settings(default_file()),
        log=lambda line: say(line, quiet=quiet),
    )
    typer.echo(str(write_card(chosen, found, failures=failures)))


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
