"""Networks from the user's own modules: ``package.module:name``."""

import inspect
import re
import sys
import typing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from raiw.errors import InvalidNetwork, MissingExtra, NetworkNotAllowed, NotFound
from raiw.names import clipped
from raiw.nets.code import revision_of
from raiw.nets.network import Network

MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:[A-Za-z_]\w*)?", re.ASCII)
"""A module, or a name in one."""


def find(name: str, allowed: Sequence[str] | None) -> Network:
    """Return a network by its name, as :func:`raiw.nets.networks.find_network` does."""
    module, _, leaf = name.partition(":")
    if not MODULE.fullmatch(name) or not leaf:
        raise NotFound(f"no network {clipped(repr(name))}: write package.module:function")
    if allowed is None:
        with below(Path.cwd()):
            return network(name, _member(_load(module), leaf))
    if name in allowed:
        return network(name, _member(_load(module), leaf))
    if module not in allowed:
        raise not_allowed(name, f"{module} or {name}")
    found = {made.name: made for made in networks_of(module)}
    if name not in found:
        raise NetworkNotAllowed(
            f"{leaf!r} of {module!r} is neither a torch module that it defines nor a function "
            f"annotated to return one; it has {', '.join(found) or 'none'}: list {name} itself "
            f"in RAIW_NETWORK_MODULES of the workers",
            pointer="/network",
        )
    return found[name]


def not_allowed(name: str, wanted: str) -> NetworkNotAllowed:
    """Return the error for a network whose package or module may not be imported."""
    return NetworkNotAllowed(
        f"network {name!r} comes from a module that may not be imported here: list {wanted} in "
        f"RAIW_NETWORK_MODULES of the workers",
        pointer="/network",
    )


def networks_of(entry: str) -> Iterator[Network]:
    """Yield the networks of one entry of a list of modules."""
    module, _, leaf = entry.partition(":")
    loaded = _load(module)
    if leaf:
        yield network(entry, _member(loaded, leaf))
        return
    for name, value in vars(loaded).items():
        own = getattr(value, "__module__", None) == module
        if own and not name.startswith("_") and _makes_a_module(value):
            yield network(f"{module}:{name}", value)


def network(name: str, factory: Callable[..., Any]) -> Network:
    """Return the network that a function or class makes; its ``input_shape`` says what it takes."""
    shape: Any = getattr(factory, "input_shape", None)
    stated = isinstance(shape, list | tuple) and all(isinstance(side, int) for side in shape)
    return Network(name, factory, tuple(shape) if stated else None, revision_of(factory))


def imported(what: str, load: Callable[[], Any]) -> Any:
    """Import something, and return it.

    Raises
    ------
    NotFound
        There is no such module or name.
    MissingExtra
        It needs an extra of raiw.
    InvalidNetwork
        Its own code fails.
    """
    try:
        return load()
    except (MissingExtra, MemoryError):
        raise
    except (ModuleNotFoundError, AttributeError) as error:
        raise NotFound(f"{what!r} cannot be imported: {error}") from None
    except Exception as error:  # whatever somebody's code raises
        raise InvalidNetwork(
            f"{what!r} cannot be imported: {type(error).__name__}: {clipped(str(error))}"
        ) from error


@contextmanager
def below(folder: Path) -> Iterator[None]:
    """Let modules in a folder be imported."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _load(module: str) -> ModuleType:
    loaded: ModuleType = imported(module, lambda: import_module(module))
    return loaded


def _member(module: ModuleType, name: str) -> Callable[..., Any]:
    factory = getattr(module, name, None)
    if not callable(factory):
        raise NotFound(f"no function {name!r} in the module {module.__name__!r}")
    made: Callable[..., Any] = factory
    return made


def _makes_a_module(value: Any) -> bool:
    if inspect.isfunction(value):
        try:
            value = typing.get_type_hints(value).get("return")
        except Exception:  # noqa: BLE001 -- a hint that cannot be resolved says nothing
            return False
    return inspect.isclass(value) and any(
        f"{base.__module__}.{base.__qualname__}" == "torch.nn.modules.module.Module"
        for base in value.__mro__
    )
