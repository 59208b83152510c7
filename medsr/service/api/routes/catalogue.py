"""What is installed: bundles and policies."""

from __future__ import annotations

from fastapi import APIRouter

from medsr.service.api.auth import requires
from medsr.service.api.desk import Here
from medsr.service.api.documented import problems
from medsr.service.api.schemas import ModelOut, ModelPage, PolicyOut, PolicyPage
from medsr.service.pins import bundles, policy_files

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["catalogue"], dependencies=[requires("submit", "read", "review", "admin")])


@router.get("/models", response_model=ModelPage, responses=problems())
async def models(desk: Here) -> ModelPage:
    """The installed bundles, verified, with their hashes."""
    found = await desk.calls.run(bundles)
    return ModelPage(
        models=[
            ModelOut(
                name=one.name,
                version=one.version,
                modality=one.modality,
                method=one.method,
                plane=one.plane,
                tasks=list(one.tasks),
                sha256=one.sha256,
                domain=dict(one.domain),
                description=one.description,
            )
            for one in found
        ]
    )


@router.get("/policies", response_model=PolicyPage, responses=problems())
async def policies(desk: Here) -> PolicyPage:
    """The gate's policies, with the hash that every report states."""
    found = await desk.calls.run(policy_files)
    return PolicyPage(
        policies=[
            PolicyOut(
                name=one.name,
                version=one.version,
                description=one.description,
                sha256=one.sha256,
                waive_uncalibrated=one.waive_uncalibrated,
                required={task: list(channels) for task, channels in one.required.items()},
                default=one.name == desk.settings.policy,
            )
            for one in found
        ]
    )
