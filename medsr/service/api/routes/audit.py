"""The audit: read, and checked link by link."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from medsr.errors import IntegrityError
from medsr.jobs.audit import AuditEntry, entries, head, verify
from medsr.service.api.auth import requires
from medsr.service.api.desk import Here
from medsr.service.api.documented import problems
from medsr.service.api.schemas import AuditOut, AuditPage, EntryOut

__all__ = ["router"]

router = APIRouter(prefix="/v1/audit", tags=["admin"], dependencies=[requires("admin")])


@router.get("", response_model=AuditPage, responses=problems())
async def listed(
    desk: Here,
    after: Annotated[int, Query(ge=0, lt=2**53, description="`next` of the page before.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> AuditPage:
    """Who did what to which hashes, oldest first. Never names."""
    found = await desk.calls.run(entries, desk.store, after=after, limit=limit + 1)
    more = found[limit - 1].seq if len(found) > limit else None
    return AuditPage(entries=[_shown(entry) for entry in found[:limit]], next=more)


@router.get("/verification", response_model=AuditOut, responses=problems())
async def verified(desk: Here) -> AuditOut:
    """Follow the whole chain. Its head, kept elsewhere, shows a chain that was cut or written anew."""
    try:
        found = await desk.calls.run(verify, desk.store)
    except IntegrityError as error:
        at = await desk.calls.run(head, desk.store)
        return AuditOut(whole=False, seq=at.seq, hash=at.hash, code=error.code)
    return AuditOut(whole=True, seq=found.seq, hash=found.hash, code=None)


def _shown(entry: AuditEntry) -> EntryOut:
    return EntryOut(
        seq=entry.seq,
        at=entry.at,
        actor=entry.actor,
        deed=entry.deed,
        subject=entry.object,
        data=dict(entry.data),
        prev_hash=entry.prev_hash,
        hash=entry.hash,
    )
