"""Keys: listed, made, revoked."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from medsr.jobs.keys import ApiKey, add_key, list_keys, revoke
from medsr.service.api.auth import Caller, requires
from medsr.service.api.desk import Here
from medsr.service.api.documented import location, problems
from medsr.service.api.schemas import KeyIn, KeyOut, KeyPage, NewKeyOut

__all__ = ["router"]

router = APIRouter(prefix="/v1/keys", tags=["admin"], dependencies=[requires("admin")])

_DAY_S = 86_400.0


@router.get("", response_model=KeyPage, responses=problems())
async def listed(desk: Here) -> KeyPage:
    """Every key, revoked ones too; never a secret."""
    return KeyPage(keys=[KeyOut(**_shown(key)) for key in await desk.calls.run(list_keys, desk.store)])


@router.post(
    "",
    status_code=201,
    response_model=NewKeyOut,
    responses={201: {"description": "Made; the secret is shown once.", **location("All keys.")}, **problems(408, 413)},
)
async def made(asked: KeyIn, response: Response, desk: Here, caller: Caller) -> NewKeyOut:
    """Make a key. Its secret is not stored and cannot be shown again."""
    new = await desk.calls.run(
        add_key,
        desk.store,
        label=asked.label,
        scopes=asked.scopes,
        expires_s=None if asked.days is None else asked.days * _DAY_S,
        owner=asked.owner,
        actor=caller.key,
    )
    response.headers["Location"] = "/v1/keys"
    return NewKeyOut(**_shown(new.key), secret=new.secret)


@router.delete(
    "/{key_id}",
    status_code=204,
    responses={204: {"description": "Revoked, with every session that it opened."}, **problems(404, 409)},
)
async def revoked(desk: Here, caller: Caller, key_id: Annotated[str, Path(pattern=r"^[0-9a-f]{1,64}$")]) -> Response:
    """End a key at once."""
    await desk.calls.run(revoke, desk.store, key_id, actor=caller.key)
    return Response(status_code=204)


def _shown(key: ApiKey) -> dict[str, object]:
    return {
        "id": key.id, "owner": key.owner, "label": key.label, "scopes": sorted(key.scopes), "created": key.created,
        "expires": key.expires, "revoked": key.revoked,
    }  # fmt: skip
