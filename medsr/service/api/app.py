"""The app: routes, errors, guards. What it serves is the store's; it keeps nothing itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from prometheus_client import CollectorRegistry

from medsr import __version__
from medsr.jobs.store import Store
from medsr.service.api.auth import identify
from medsr.service.api.desk import new_desk
from medsr.service.api.guard import Door, Pages, SteadyBody
from medsr.service.api.hub import Hub
from medsr.service.api.measures import StoreCollector
from medsr.service.api.problem import add_handlers
from medsr.service.api.routes import (
    audit,
    catalogue,
    decisions,
    events,
    health,
    inputs,
    jobs,
    keys,
    metrics,
    results,
    sessions,
    studies,
    validations,
)
from medsr.service.api.schemas import ProblemOut
from medsr.service.api.settings import ApiSettings

__all__ = ["create_app"]

_ROOMS = (
    inputs, studies, jobs, events, results, decisions, validations, catalogue, audit, keys, sessions, health, metrics,
)  # fmt: skip
_UNBOUNDED = ("/v1/inputs", "/v1/studies")
_DESCRIPTION = """Restores MRI and CT, and judges every result before it is released.

Research software, not a medical device. A scan is uploaded as it is (`POST /v1/inputs`), restored by a job
(`POST /v1/jobs`), followed by its events, and read once the gate or a reader has released it. Every error is
`application/problem+json` with a stable `code`; docs/reason-codes.md lists them all.
"""


def create_app(store: Store, settings: ApiSettings | None = None, *, routers: Sequence[APIRouter] = ()) -> FastAPI:
    """The service's app over an open store.

    Parameters
    ----------
    settings : limits of the door; the defaults and MEDSR_* variables unless given.
    routers : further routers, tried before none of medsr's own: the review page adds itself here.
    """
    chosen = ApiSettings() if settings is None else settings
    desk = new_desk(store, chosen)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        desk.closing = True

    app = FastAPI(
        title="medsr",
        version=__version__,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        lifespan=lifespan,
        generate_unique_id_function=_operation_id,
        redirect_slashes=False,
        # Spans and logs would carry values of requests to wherever an environment variable points.
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
    )
    app.state.desk = desk
    app.state.hub = Hub(desk)
    app.state.registry = CollectorRegistry(auto_describe=False)
    app.state.registry.register(StoreCollector(store))
    for room in _ROOMS:
        app.include_router(room.router)
    for router in routers:
        app.include_router(router)
    add_handlers(app)
    app.add_middleware(Door, identify=partial(identify, desk))
    app.add_middleware(SteadyBody, settings=chosen, unbounded=_UNBOUNDED)
    app.add_middleware(Pages)
    app.openapi = partial(_openapi, app)  # type: ignore[method-assign]  # FastAPI's own way to change the document
    return app


def _operation_id(route: APIRoute) -> str:
    words = route.path.removeprefix("/v1").replace("{", "").replace("}", "").replace(":path", "").strip("/")
    return "_".join([*sorted(method.lower() for method in route.methods or ()), *words.replace("/", "_").split("_")])


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes, tags=_TAGS
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas["ProblemOut"] = ProblemOut.model_json_schema(ref_template="#/components/schemas/{model}")
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        app.openapi_schema = document
    return app.openapi_schema


_TAGS = [
    {"name": "inputs", "description": "Uploads."},
    {"name": "jobs", "description": "Restorations and validations."},
    {"name": "results", "description": "Reports, files, decisions."},
    {"name": "catalogue", "description": "Installed bundles and policies."},
    {"name": "session", "description": "Sessions of the review page."},
    {"name": "admin", "description": "Keys and audit."},
    {"name": "operation", "description": "Health and figures."},
]
