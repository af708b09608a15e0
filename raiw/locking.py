"""``raiw.lock``: which masks a spec and its scores lead to, to be kept with the source code."""

import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from raiw.algorithms import ALGORITHMS
from raiw.canonical import digest_of_json
from raiw.errors import GateFailed, InvalidInput, NotFound
from raiw.files import write_atomically
from raiw.masks.maskset import MaskSet
from raiw.specs.document import Digest
from raiw.specs.spec import Spec

_LARGEST_BYTES = 1 << 16


class Lock(BaseModel):
    """The digests of masks and of what they were crafted from: the same on every machine."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    format: Literal["raiw.lock@1"] = "raiw.lock@1"
    masks: Digest
    """Content digest of the masks."""
    spec: Digest
    """Digest of the fields of the spec that decide masks: gates are not among them."""
    importance: Digest | None = None
    """Digest of the importance file; null without one."""
    algorithm: Annotated[str, Field(max_length=100)]
    revision: Annotated[int, Field(ge=0)]
    """Revision of the algorithm: another one may give other masks."""
    raiw: Annotated[str, Field(max_length=100)] = ""
    """Version that wrote the lock; another one gives the same masks."""

    @classmethod
    def of(cls, masks: MaskSet) -> Self:
        """Return the lock of masks; their file names all that they came from."""
        return cls(
            masks=masks.digest,
            spec=spec_digest(masks.spec),
            importance=masks.importance,
            algorithm=masks.algorithm,
            revision=masks.origin.revision,
            raiw=version("raiw"),
        )

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a lock.

        Raises
        ------
        NotFound
            There is no such file.
        InvalidInput
            It is not a lock.
        """
        if not path.is_file():
            raise NotFound(f"no lock {str(path)!r}: write it with raiw lock MASKS -o {path}")
        with path.open("rb") as file:
            text = file.read(_LARGEST_BYTES)
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            where = "".join(f"{place}: " for place in fault["loc"])
            raise InvalidInput(
                f"{str(path)!r} is not a lock of raiw: {where}{fault['msg']}"
            ) from None

    def encoded(self) -> bytes:
        """Return the lock's file: JSON, a field a line, so that a change is easy to read."""
        return (json.dumps(self.model_dump(mode="json"), indent=2) + "\n").encode()

    def save(self, path: Path) -> None:
        """Write the lock."""
        write_atomically(path, [self.encoded()])

    def require_masks(self, masks: MaskSet) -> None:
        """Make sure that these are the masks that were locked.

        Raises
        ------
        GateFailed
            Something differs; ``details["lock"]`` has every difference.
        """
        self._require(type(self).of(masks).model_dump(exclude={"format", "raiw"}))

    def require_spec(self, spec: Spec, importance: str | None) -> None:
        """Make sure that a spec, with the digest of its scores, still leads to the locked masks.

        Raises
        ------
        GateFailed
            Something differs, or the installed algorithm has another revision.
        """
        algorithm = ALGORITHMS[spec.algorithm(scored=importance is not None)]
        self._require(
            {
                "spec": spec_digest(spec),
                "importance": importance,
                "algorithm": algorithm.name,
                "revision": algorithm.revision,
            }
        )

    def _require(self, found: dict[str, Any]) -> None:
        differences = list(self._differences(found))
        if differences:
            told = "; ".join(
                f"{one['field']} is {one['found']}, locked {one['locked']}" for one in differences
            )
            raise GateFailed(
                f"the lock does not match: {told}; if that is meant, write the lock again with "
                f"raiw lock",
                lock=differences,
            )

    def _differences(self, found: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for field, value in found.items():
            locked = getattr(self, field)
            if locked != value:
                yield {"field": field, "locked": locked, "found": value}


def spec_digest(spec: Spec) -> str:
    """Return the digest of what a spec says about masks."""
    return digest_of_json(spec.keyed())
