"""medsr audit verify, list, head"""

from __future__ import annotations

from typing import Annotated

import typer

from medsr.cli.console import write_json
from medsr.cli.options import Json
from medsr.cli.stores import StoreFolder, opened_store, time_of
from medsr.errors import UsageError

__all__ = ["app"]

app = typer.Typer(help="The audit of a job store: verify, list.", no_args_is_help=True)


@app.command("verify", epilog="Example: medsr audit verify --head 120:9f86d081...")
def verify(
    head: Annotated[
        str | None, typer.Option("--head", help="NUMBER:HASH printed earlier; the chain must pass through it.")
    ] = None,
    store: StoreFolder = None,
    json: Json = False,
) -> None:
    """Follow the chain of the audit link by link, and print its head.

    Keep the printed head elsewhere: given as --head later, it shows a chain that was cut or written anew.
    """
    from medsr.jobs.audit import AuditHead
    from medsr.jobs.audit import verify as follow

    known = None
    if head is not None:
        number, _, digest = head.partition(":")
        if not number.isdigit() or len(digest) != 64:
            raise UsageError("audit.head", "the head is not NUMBER:HASH")
        known = AuditHead(int(number), digest)
    with opened_store(store) as held:
        found = follow(held, known=known)
    if json:
        write_json({"whole": True, "seq": found.seq, "hash": found.hash})
    else:
        typer.echo(f"whole: {found.seq}:{found.hash}")


@app.command("list", epilog="Example: medsr audit list --after 100")
def list_(
    after: Annotated[int, typer.Option("--after", min=0, help="Only entries with a higher number.")] = 0,
    store: StoreFolder = None,
) -> None:
    """List who did what to which hashes."""
    from medsr.jobs.audit import entries

    with opened_store(store) as held:
        while batch := entries(held, after=after):
            for entry in batch:
                typer.echo(f"{entry.seq}  {time_of(entry.at)}  {entry.actor}  {entry.deed}  {entry.object}")
            after = batch[-1].seq
