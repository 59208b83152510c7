"""medsr keys add, list, revoke"""

from __future__ import annotations

from typing import Annotated

import typer

from medsr.cli.console import say, write_json
from medsr.cli.options import Json
from medsr.cli.stores import StoreFolder, opened_store, time_of

__all__ = ["app"]

app = typer.Typer(help="Keys of the service: add, list, revoke.", no_args_is_help=True)

_DAY_S = 86_400.0


@app.command("add", epilog='Example: medsr keys add "reading room" --scope read --scope review --days 90')
def add(
    label: Annotated[str, typer.Argument(help="For people: a ward, a program.")],
    scope: Annotated[list[str], typer.Option("--scope", help="submit, read, review or admin; may be repeated.")],
    days: Annotated[float | None, typer.Option("--days", help="Until it expires; never by default.")] = None,
    owner: Annotated[str | None, typer.Option("--owner", help="Whose jobs it sees; its own by default.")] = None,
    store: StoreFolder = None,
    json: Json = False,
) -> None:
    """Make a key and print its secret, this once."""
    from medsr.jobs.keys import add_key

    with opened_store(store) as held:
        seconds = None if days is None else days * _DAY_S
        made = add_key(held, label=label, scopes=scope, expires_s=seconds, owner=owner)
    if json:
        write_json({"id": made.key.id, "scopes": sorted(made.key.scopes), "secret": made.secret})
        return
    say(f"key {made.key.id}: {', '.join(sorted(made.key.scopes))}, until {time_of(made.key.expires)}; shown this once:")
    typer.echo(made.secret)


@app.command("list", epilog="Example: medsr keys list")
def list_(store: StoreFolder = None, json: Json = False) -> None:
    """List the keys, revoked ones too; never a secret."""
    from medsr.jobs.keys import list_keys

    with opened_store(store) as held:
        keys = list_keys(held)
    if json:
        rows = [
            {
                "id": key.id,
                "owner": key.owner,
                "label": key.label,
                "scopes": sorted(key.scopes),
                "created": time_of(key.created),
                "expires": None if key.expires is None else time_of(key.expires),
                "revoked": None if key.revoked is None else time_of(key.revoked),
            }
            for key in keys
        ]
        write_json({"keys": rows})
        return
    for key in keys:
        state = "revoked" if key.revoked is not None else f"until {time_of(key.expires)}"
        typer.echo(f"{key.id}  {','.join(sorted(key.scopes))}  {state}  {key.label}")


@app.command("revoke", epilog="Example: medsr keys revoke 4f1d2c3b4a596877")
def revoke(key: Annotated[str, typer.Argument(help="Id of a key.")], store: StoreFolder = None) -> None:
    """End a key and its sessions at once."""
    from medsr.jobs.keys import revoke as end

    with opened_store(store) as held:
        end(held, key, actor="system")
    say(f"revoked: {key}")
