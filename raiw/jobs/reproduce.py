"""The job ``reproduce``."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from raiw import extras
from raiw.jobs.document import JobDocument, at
from raiw.names import check_name

REVISION = 1
"""Raised when a number comes out otherwise."""
ALL = "all"
"""Every item that trains nothing."""


class ReproduceJob(JobDocument):
    """Compute numbers that the papers print, and compare them.

    An item that trains a network on digits does so when it is named.
    """

    kind: Literal["reproduce"] = "reproduce"
    item: Annotated[str, Field(max_length=100)]
    """A table, figure or statement, as ``raiw reproduce --list`` has them, or ``all``."""

    @field_validator("item")
    @classmethod
    def _item_exists(cls, item: str) -> str:
        at("/item", lambda: check_name(item, (*_items(), ALL), "result"))
        return item

    @property
    def items(self) -> tuple[str, ...]:
        """The items to compute."""
        if self.item != ALL:
            return (self.item,)
        return tuple(name for name, item in _items().items() if not item.trains)

    @property
    def subject(self) -> str:
        """The item."""
        return self.item

    @property
    def algorithm(self) -> str:
        """What is done."""
        return self.kind

    @property
    def total(self) -> int:
        """Items."""
        return len(self.items)

    @property
    def revisions(self) -> list[int]:
        """Of the numbers."""
        return [REVISION]


def _items() -> dict[str, Any]:
    """Return the registry, which stands with what computes: above this."""
    items: dict[str, Any] = extras.load("raiw.reproduction.registry").ITEMS
    return items
