"""The spec of an uploaded checkpoint."""

from typing import Annotated, Any

from pydantic import Field

from raiw.specs.document import Digest, Document
from raiw.specs.limits import AtMost
from service.contract.jobs import View


class SpecRequest(Document):
    """The body of ``POST /v1/specs``."""

    weights: Digest
    """Digest of an uploaded safetensors file; of its bytes only the header is read."""
    name: Annotated[str, Field(max_length=200)] = ""
    """Name of the spec."""
    density: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)] | None = None
    """Kept edges over all, in every layer; dense without."""
    transposed: Annotated[tuple[Annotated[str, Field(max_length=200)], ...], AtMost(16)] = ()
    """Globs over the names of layers that store their inputs first."""


class SpecView(View):
    """A spec read from a checkpoint."""

    spec: dict[str, Any]
    """What plans and jobs take."""
    assumed: str
    """What names and shapes never tell, and is taken for granted."""
    doubts: str
    """What those of this checkpoint do not tell, and is taken for granted."""
    skipped: dict[str, str]
    """Why weights were left out, by their name."""
