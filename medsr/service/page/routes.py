"""The routes of the review page. Who asks is known before a route runs: the api puts it into the request's state."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, StreamingResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from medsr.errors import Denied, MedsrError, NotFound, UsageError
from medsr.jobs.keys import Principal
from medsr.jobs.listing import job as find_job
from medsr.jobs.nouns import Job
from medsr.jobs.sessions import Session
from medsr.jobs.store import Store
from medsr.report.channels import STATUS_TITLES, channel_title
from medsr.report.view import ImageName, PlaneName
from medsr.service.page import study_page
from medsr.service.page.assets import assets, version
from medsr.service.page.pictures import picture, presets
from medsr.service.page.scene import finding_rows, scene
from medsr.service.page.studies import Show, downloads, filters, listed, made, report_of, study_of
from medsr.service.page.views import Views, has_view
from medsr.service.page.volumes import VolumeRequest, nifti_gz

__all__ = ["CONTENT_POLICY", "page_router"]

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_PAGE_HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_PRIVATE = {name: _PAGE_HEADERS[name] for name in ("Cache-Control", "X-Content-Type-Options")}
_FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
_NEIGHBOURS = 40
_NOTHING: Mapping[Show, str] = {
    "review": "Nothing waits for a reader.",
    "working": "Nothing is being restored.",
    "released": "Nothing was released yet.",
    "refused": "Nothing was refused.",
    "failed": "Nothing failed.",
    "all": "No study yet.",
}

JobId = Annotated[str, Path(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")]
ShowQuery = Annotated[Show, Query()]
WindowText = Annotated[str | None, Query(max_length=60, description="Black and white in image units, low,high.")]
BoxText = Annotated[str | None, Query(max_length=80, description="Voxels i0,i1,j0,j1,k0,k1 of the volume, half open.")]


def page_router(store: Store) -> APIRouter:
    """The routes over a store, to be included in the app."""
    views = Views(store)
    router = APIRouter()
    _add_pages(router, store, views)
    _add_pixels(router, store, views)
    _add_assets(router)
    return router


def _add_pages(router: APIRouter, store: Store, views: Views) -> None:
    @router.get("/review", include_in_schema=False)
    def worklist(
        request: Request, show: ShowQuery = "review", cursor: Annotated[str | None, Query(max_length=200)] = None
    ) -> Response:
        reader = _reader(request)
        return _login() if reader is None else _worklist(store, request, reader, "worklist", show, cursor)

    @router.get("/review/rows", include_in_schema=False)
    def rows(
        request: Request, show: ShowQuery = "review", cursor: Annotated[str | None, Query(max_length=200)] = None
    ) -> Response:
        reader = _reader(request)
        if reader is None:
            raise Denied("session.ended", "the session has ended")
        return _worklist(store, request, reader, "rows", show, cursor)

    @router.get("/review/login", include_in_schema=False)
    def login() -> Response:
        return _html("login", reader=None)

    @router.get("/review/study/{job_id}", include_in_schema=False)
    def study(job_id: JobId, request: Request, show: ShowQuery = "review") -> Response:
        reader = _reader(request)
        if reader is None:
            return _login()
        try:
            return _study(store, views, request, reader, job_id, show)
        except NotFound:
            return _html("message", 404, reader=_who(request, reader), title="No such study", words=_GONE)
        except MedsrError as error:
            words = f"This study cannot be shown: {error.remedy} [{error.code}]"
            return _html("message", 500, reader=_who(request, reader), title="Not readable", words=words)


_GONE = "It was purged, belongs to somebody else, or never was."


def _worklist(
    store: Store, request: Request, reader: Principal, template: str, show: Show, cursor: str | None
) -> Response:
    owner = _owner(reader)
    studies, following = listed(store, owner, show, reader=reader, cursor=cursor)
    found = filters(store, owner)
    waiting = next(item.count for item in found if item.key == "review")
    return _html(
        template,
        reader=_who(request, reader),
        studies=studies,
        next=following,
        show=show,
        filters=found,
        waiting=waiting,
        nothing=_NOTHING[show],
    )


def _study(store: Store, views: Views, request: Request, reader: Principal, job_id: str, show: Show) -> Response:
    owner = _owner(reader)
    job = find_job(store, job_id, owner=owner)
    shown, report = study_of(store, job, reader=reader), report_of(store, job)
    drawn = None
    if report is not None and reader.may("review") and has_view(store, job):
        drawn = views.of(job)
    return _html(
        "study",
        reader=_who(request, reader),
        study=shown,
        job=job,
        report=report,
        scene=None if drawn is None or report is None else json.dumps(scene(drawn, report), allow_nan=False),
        version=(job.output_sha256 or "")[:12],
        windows=() if drawn is None else presets(drawn.facts),
        findings=() if report is None else finding_rows(report),
        measures=() if report is None else study_page.measures(report),
        guarantee="" if report is None else study_page.guarantee(report),
        details=() if report is None else study_page.details(report, job),
        model=study_page.model_words(report, job),
        no_pictures=study_page.no_pictures(shown),
        why_not=study_page.why_not(shown, reader),
        decisions=made(store, job),
        files=downloads(store, job, reader=reader, owner=owner),
        neighbours=listed(store, owner, show, reader=reader, limit=_NEIGHBOURS)[0],
        filters=filters(store, owner),
        show=show,
        channel_title=channel_title,
        status_titles=STATUS_TITLES,
    )


def _add_pixels(router: APIRouter, store: Store, views: Views) -> None:
    @router.get("/v1/jobs/{job_id}/preview/{plane}.png", tags=["review"], response_class=Response, name="preview")
    def preview(
        job_id: JobId,
        plane: PlaneName,
        request: Request,
        image: ImageName = "restored",
        at: Annotated[int | None, Query(ge=0, lt=4096, description="Slice; the middle one by default.")] = None,
        window: WindowText = None,
    ) -> Response:
        """A slice of a held or released result, for readers."""
        view = views.of(_seen(store, request, job_id))
        index = view.facts.shape[view.axes[plane]] // 2 if at is None else at
        chosen = None if window is None else cast(tuple[float, float], _numbers(window, 2, float))
        return Response(picture(view, image, plane, index, window=chosen), media_type="image/png", headers=_PRIVATE)

    @router.get("/v1/jobs/{job_id}/volumes/{name}.nii.gz", tags=["review"], response_class=Response, name="volume")
    def volume(
        job_id: JobId, name: ImageName, request: Request, half: Literal["0", "1"] = "0", box: BoxText = None
    ) -> Response:
        """A volume of a held or released result as int16 NIfTI without text, for readers."""
        view = views.of(_seen(store, request, job_id))
        asked = VolumeRequest(name, half == "1", None if box is None else _box(box))
        return StreamingResponse(nifti_gz(view, asked), media_type="application/gzip", headers=_PRIVATE)


def _add_assets(router: APIRouter) -> None:
    @router.get("/review/static/{wanted}/{path:path}", include_in_schema=False)
    def static(wanted: str, path: str) -> Response:
        found = assets().get(path)
        if found is None or wanted != version():
            raise NotFound("page.asset", "the page has no such file")
        return FileResponse(found.path, media_type=found.media_type, headers=_FOR_EVER)


def _seen(store: Store, request: Request, job_id: str) -> Job:
    reader = _reader(request)
    if reader is None:
        raise Denied("session.ended", "the session has ended")
    if not reader.may("review"):
        raise Denied("decision.scope", "the key may not review")
    return find_job(store, job_id)


def _reader(request: Request) -> Principal | None:
    found = getattr(request.state, "principal", None)
    return found if isinstance(found, Principal) else None


def _owner(reader: Principal) -> str | None:
    """Whose jobs are seen: everybody's by readers and administrators, else one's own."""
    return None if reader.may("review") or reader.may("admin") else reader.owner


def _who(request: Request, reader: Principal) -> dict[str, object]:
    session = getattr(request.state, "session", None)
    csrf = session.csrf if isinstance(session, Session) else ""
    return {"name": reader.label, "csrf": csrf, "may_submit": reader.may("submit")}


def _login() -> Response:
    return RedirectResponse("/review/login", 303, headers=_PAGE_HEADERS)


def _html(template: str, status: int = 200, **values: object) -> Response:
    page = _environment().get_template(f"{template}.html.j2")
    return HTMLResponse(page.render(assets=f"/review/static/{version()}", **values), status, headers=_PAGE_HEADERS)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("medsr.service.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _numbers(text: str, count: int, kind: type[Any]) -> tuple[Any, ...]:
    try:
        found = tuple(kind(part) for part in text.split(","))
    except ValueError:
        found = ()
    if len(found) != count:
        raise UsageError("preview.window", "window and box are numbers with commas between them")
    return found


def _box(text: str) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    i0, i1, j0, j1, k0, k1 = _numbers(text, 6, int)
    return (i0, j0, k0), (i1, j1, k1)
