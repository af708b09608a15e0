"""``/new``: write a spec, see what it would build, and craft it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

import yaml
from fastapi import APIRouter, Form, Query, Request, UploadFile
from starlette.responses import JSONResponse, Response

from raiw import catalogue
from raiw.canonical import SHA256, digest_of_chunks
from raiw.errors import InvalidInput, InvalidSpec, NotFound, RaiwError, TooLarge
from raiw.jobs.craft import CraftJob
from raiw.readers.documents import decode_document
from service.access.scopes import CallerDep, needs
from service.contract.access import Scope
from service.contract.jobs import PlanView
from service.contract.masks import BlobView
from service.contract.requests import REQUESTS
from service.jobs import again, stored, submit, uploads
from service.jobs.services import Services
from service.pages.asking import PageServices
from service.pages.forms import EDITOR, SCORES, most_bytes
from service.pages.positions import line_of
from service.pages.rendering import HEADERS, render, see

router = APIRouter()

_PIECE_BYTES = 1 << 20
_NOTE = "note"
_BEGIN = """\
name: my-network
layers:
- {name: fc1, kind: linear, in_features: 784, out_features: 256}
- {name: fc2, kind: linear, in_features: 256, out_features: 10}
craft:
  density: 0.1
"""


@dataclass(frozen=True, slots=True)
class SpecFault:
    """Something wrong with a spec."""

    detail: str
    pointer: str = ""
    line: int | None = None


@dataclass(slots=True)
class Checked:
    """What a form comes to: a plan, or what is wrong."""

    job: CraftJob | None = None
    plan: PlanView | None = None
    faults: list[SpecFault] = field(default_factory=list)


_Text = Annotated[str, Form(max_length=1 << 20)]
_Digest = Annotated[str, Form(max_length=100)]


@router.get(EDITOR, dependencies=[needs(Scope.JOBS_READ)])
def show_editor(
    services: PageServices,
    caller: CallerDep,
    request: Request,
    model: Annotated[str, Query(max_length=200)] = "",
    job: Annotated[str, Query(max_length=40)] = "",
    masks: Annotated[str, Query(pattern=f"^({SHA256})?$")] = "",
) -> Response:
    """Show the editor, with a preset, the spec of a job or of masks, or an example in it."""
    if masks:
        caller.require(Scope.MASKS_READ)
    text, scores = _start(services, model, job, masks)
    return _editor(services, request, text, scores, _check(services, text, scores))


@router.post(EDITOR, dependencies=[needs(Scope.JOBS_READ)])
def craft(  # noqa: PLR0913, PLR0917 -- the fields of the form, and who sends it
    services: PageServices,
    caller: CallerDep,
    request: Request,
    spec: _Text = "",
    importance: _Digest = "",
    note: Annotated[str, Form(max_length=512)] = "",
    do: Annotated[str, Form()] = "plan",
    scores: UploadFile | None = None,
) -> Response:
    """Plan or craft what the form holds; scores that come with it are stored first."""
    problem = ""
    if scores is not None and scores.filename:
        caller.require(Scope.UPLOADS_WRITE)
        try:
            importance = _store(services, scores).digest
        except RaiwError as error:
            importance, problem = "", error.message
    checked = _check(services, spec, importance)
    if problem:
        checked.faults.append(SpecFault(f"the scores: {problem}"))
    if do == "craft" and checked.job is not None and not checked.faults:
        caller.require(Scope.JOBS_WRITE)
        body = checked.job.model_dump(mode="json") | {"metadata": {_NOTE: note} if note else {}}
        return see(f"/jobs/{submit.submit(services, REQUESTS['craft'].parse(body)).job.id}")
    return _editor(services, request, spec, importance, checked, note=note)


@router.post("/pages/plan", dependencies=[needs(Scope.JOBS_READ)])
def plan(
    services: PageServices, request: Request, spec: _Text = "", importance: _Digest = ""
) -> Response:
    """Return the part of the editor that says what a spec would build."""
    checked = _check(services, spec, importance)
    return render(request, "plan.html", checked=checked)


@router.post(SCORES, dependencies=[needs(Scope.UPLOADS_WRITE)])
def store_scores(services: PageServices, scores: UploadFile) -> Response:
    """Store a file of scores; the editor names it by its digest."""
    try:
        blob = _store(services, scores)
    except RaiwError as error:
        return JSONResponse({"problem": error.message}, 422, HEADERS)
    return JSONResponse({"digest": blob.digest, "bytes": blob.bytes}, headers=HEADERS)


def _editor(
    services: Services,
    request: Request,
    text: str,
    scores: str,
    checked: Checked,
    *,
    note: str = "",
) -> Response:
    blob = None
    if scores:
        try:
            blob = uploads.find_blob(services, scores)
        except RaiwError:
            blob = None
    return render(
        request,
        "new.html",
        text=text,
        scores=scores if blob else "",
        blob=blob,
        note=note,
        checked=checked,
        models=catalogue.names(),
        lines=min(max(text.count("\n") + 2, 14), 40),
        most=most_bytes(services.settings),
    )


def _start(services: Services, model: str, job: str, masks: str) -> tuple[str, str]:
    """Return the text and the scores to start with."""
    if model:
        known = catalogue.read(model)
        if known is None:
            raise NotFound(f"no model {model[:100]!r} in the catalogue")
        craft = known.get("craft") or {"density": 0.1}
        return _written({"name": model, "model": known.get("model", model), "craft": craft}), ""
    if job:
        body = again.request_again(services, job)
        return _written(body.get("spec") or {}), body.get("importance") or ""
    if masks:
        document = stored.get_masks(services, masks).document
        return _written(document["spec"]), document["importance"] or ""
    return _BEGIN, ""


def _check(services: Services, text: str, scores: str) -> Checked:
    try:
        document: Any = decode_document(text.encode(), "the spec")
        job = CraftJob.parse({"spec": document, "importance": scores or None})
        return Checked(job, submit.plan(services, job))
    except RaiwError as error:
        return Checked(faults=[*_faults(text, error)])


def _faults(text: str, error: RaiwError) -> Iterator[SpecFault]:
    if isinstance(error, InvalidSpec) and error.problems:
        for problem in error.problems:
            pointer = problem["pointer"].removeprefix("/spec")
            yield SpecFault(problem["detail"], pointer, line_of(text, pointer))
    else:
        pointer = (error.pointer or "").removeprefix("/spec")
        yield SpecFault(error.message, pointer, line_of(text, pointer) if pointer else None)


def _store(services: Services, file: UploadFile) -> BlobView:
    """Store the file of a form under the digest of its bytes."""
    if not file.size:
        raise InvalidInput("the file is empty")
    if file.size > most_bytes(services.settings):
        raise TooLarge(f"the file has {file.size} bytes: send it by raiw craft -i")
    digest = digest_of_chunks(_pieces(file))
    known = uploads.find_blob(services, digest)
    if known is not None:
        return known
    receiving = uploads.receive_blob(services, digest, file.size)
    next(receiving)
    try:
        for piece in _pieces(file):
            receiving.send(piece)
        receiving.send(b"")
    except StopIteration as end:
        stored_: BlobView = end.value
        return stored_
    finally:
        receiving.close()
    raise AssertionError("what is received has an end")


def _pieces(file: UploadFile) -> Iterator[bytes]:
    file.file.seek(0)
    while piece := file.file.read(_PIECE_BYTES):
        yield piece


def _written(document: dict[str, Any]) -> str:
    return yaml.safe_dump(
        document, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100
    )
