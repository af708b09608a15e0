"""Specs read from uploaded checkpoints: from their headers, which the database keeps."""

from raiw.readers.checkpoints import read_shapes
from raiw.specs.spec import Spec
from raiw.tensors import read_header
from service.contract.specs import SpecRequest, SpecView
from service.jobs.checks import uploaded
from service.jobs.services import Services


def read_spec(services: Services, request: SpecRequest) -> SpecView:
    """Return the spec of a checkpoint that the owner has uploaded.

    Raises
    ------
    NotFound
        It has not been uploaded.
    InvalidSpec
        It has no weights of layers, or more than a spec may have; or a glob matches none.
    """
    with services.database.read() as session:
        blob = uploaded(services, session, request.weights, "/weights")
        header = read_header(blob.header, file_size=blob.size)
    shapes = {name: tensor.shape for name, tensor in header.tensors.items()}
    found = read_shapes(shapes, request.transposed)
    craft = {} if request.density is None else {"density": request.density}
    spec = Spec.of_layers(found.layers, craft, request.name)
    return SpecView(
        spec=spec.canonical(), assumed=found.assumed, doubts=found.doubts, skipped=found.skipped
    )
