"""A network before it is built: its name, factory and code."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raiw.errors import InvalidNetwork, RaiwError
from raiw.names import clipped

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Network:
    """A network that can be built."""

    name: str
    factory: Callable[..., Any]
    """Returns a torch module, its weights drawn by torch's own random state."""
    input_shape: tuple[int, ...] | None = None
    """Shape of one input of the module built without arguments; None where it is not stated."""
    revision: str | None = None
    """Identifies its code, as other code may give other results; None for the catalogue."""

    def to_json(self) -> dict[str, Any]:
        """Return what is known before it is built, as JSON-serialisable values."""
        shape = None if self.input_shape is None else list(self.input_shape)
        return {"name": self.name, "input_shape": shape, "revision": self.revision}

    def build(self, arguments: Mapping[str, Any]) -> "nn.Module":
        """Return the module that the factory makes from arguments.

        Raises
        ------
        InvalidNetwork
            The factory fails, or returns something else.
        """
        try:
            made: nn.Module = self.factory(**arguments)
        except RaiwError:
            raise
        except Exception as error:  # whatever somebody's code raises
            if isinstance(error, MemoryError) or "memory" in str(error):
                raise
            given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
            raise InvalidNetwork(
                f"{self.name!r} cannot be built with ({clipped(given)}): {type(error).__name__}: "
                f"{clipped(str(error))}"
            ) from error
        if not (hasattr(made, "named_modules") and any(True for _ in made.parameters())):
            raise InvalidNetwork(
                f"{self.name!r} makes a {type(made).__name__}: it must make a torch module with "
                f"parameters"
            )
        return made
