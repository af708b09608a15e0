"""What a request refers to: whether it is stored, and fits."""

from sqlalchemy.orm import Session

from raiw.errors import InvalidInput, NotFound, TooLarge
from raiw.jobs.craft import CraftJob
from raiw.jobs.document import JobDocument
from raiw.jobs.masked import MaskedJob
from raiw.jobs.study import StudyJob
from raiw.nets.registry import NETS
from raiw.scores.fit import check_header
from raiw.specs.spec import Spec
from raiw.tensors import read_header
from service.jobs.services import Services
from service.settings import Settings
from service.store import blobs, masks, objects
from service.store.tables import BlobRow, MasksRow

MAX_STUDIED = 20_000
"""Most rows of a study, one for each layer of each run."""


def check_scores(services: Services, session: Session, spec: Spec, importance: str | None) -> None:
    """Make sure that an importance file of the owner is stored and fits a spec.

    Raises
    ------
    NotFound
        It has not been uploaded.
    InvalidImportance
        It does not fit.
    """
    if importance is not None:
        blob = uploaded(services, session, importance, "/importance")
        check_header(read_header(blob.header, file_size=blob.size), spec)


def check_memory(settings: Settings, request: JobDocument) -> None:
    """Make sure that a job's masks can be crafted at all.

    Raises
    ------
    TooLarge
        They need more memory than a worker may use.
    """
    spec, most = getattr(request, "spec", None), settings.craft_memory_bytes
    if spec is None or not most:
        return
    plan = spec.plan(scored=getattr(request, "importance", None) is not None)
    threads = settings.task_threads or 1  # of other workers nobody knows more here
    needed = plan.memory_on(threads)
    if needed > most:
        at_once = f" with {threads} layers at a time (RAIW_TASK_THREADS)" if threads > 1 else ""
        largest = max(plan.layers, key=lambda layer: layer.cells)
        raise TooLarge(
            f"crafting takes at least {needed} bytes of memory{at_once}, {plan.mask_bytes} of them "
            f"for the masks, and a worker may use {most} (RAIW_CRAFT_MEMORY_BYTES); the "
            f"largest layer is {largest.name!r} with {largest.cells} possible edges: ask for fewer "
            f"or smaller layers in one job",
            limit=most,
            memory_bytes=needed,
            mask_bytes=plan.mask_bytes,
        )


def check_request(services: Services, session: Session, request: JobDocument) -> None:
    """Make sure that a job's uploads and masks are stored and fit, as far as headers show.

    They stay at least until the transaction ends.

    Raises
    ------
    NotFound
        One is not stored.
    InvalidInput
        One does not fit.
    """
    if isinstance(request, CraftJob):
        check_scores(services, session, request.spec, request.importance)
        return
    for pointer, digest in request.uploads.items():
        uploaded(services, session, digest, pointer)
    for pointer, digest in request.stored_masks.items():
        _masks(services, session, digest, pointer)
    if isinstance(request, MaskedJob):
        _check_masked(services, session, request)
    if isinstance(request, StudyJob):
        _check_study(services, session, request)


def _check_study(services: Services, session: Session, request: StudyJob) -> None:
    check_scores(services, session, request.spec, request.importance)
    rows = request.total * len(request.spec.layers)
    if rows > MAX_STUDIED:
        raise TooLarge(
            f"{request.total} runs of {len(request.spec.layers)} layers are {rows} rows; a server "
            f"stores {MAX_STUDIED}: ask for fewer methods or seeds, or run raiw study --local",
            limit=MAX_STUDIED,
        )


def _check_masked(services: Services, session: Session, request: MaskedJob) -> None:
    if request.spec is not None:
        check_scores(services, session, request.spec, request.importance)
        shapes = {layer.name: layer.graph_shape for layer in request.spec.layers}
        _check_layers(request, shapes, "/spec")
    if request.masks is not None:
        found = _masks(services, session, request.masks, "/masks")
        _check_layers(request, _shapes(found), "/masks")


def _check_layers(request: MaskedJob, shapes: dict[str, tuple[int, int]], pointer: str) -> None:
    """Compare layers with those of the network, where they are known without building it."""
    network = request.network
    if network not in NETS or request.channels is not None:
        return
    dense = Spec.parse({"model": network, "craft": {"density": 1.0}})
    own = {layer.name: layer.graph_shape for layer in dense.layers}
    for name, shape in shapes.items():
        if own.get(name) != shape:
            has = f"has it as {own[name]}" if name in own else "has no such layer"
            raise InvalidInput(
                f"layer {name!r} is {shape} (out, in), but network {network!r} {has}",
                pointer=pointer,
            )


def _shapes(found: MasksRow) -> dict[str, tuple[int, int]]:
    return {layer["name"]: tuple(layer["facts"]["shape"]) for layer in found.document["layers"]}


def _masks(services: Services, session: Session, digest: str, pointer: str) -> MasksRow:
    objects.hold(session, digest)
    found = masks.stored(session, services.artifacts, services.owner, digest)
    if found is None:
        raise NotFound(
            f"no masks {digest} are stored here: craft them on this server first (raiw craft SPEC "
            f"--server URL), or give their spec",
            pointer=pointer,
        )
    return found


def uploaded(services: Services, session: Session, digest: str, pointer: str) -> BlobRow:
    """Return an upload of the owner, which stays at least until the transaction ends.

    Raises
    ------
    NotFound
        It is not stored.
    """
    objects.hold(session, digest)
    blob = blobs.stored(session, services.artifacts, services.owner, digest)
    if blob is None:
        what = pointer.removeprefix("/")
        raise NotFound(
            f"{what} {digest} has not been uploaded: PUT it to /v1/blobs/{digest}", pointer=pointer
        )
    return blob
