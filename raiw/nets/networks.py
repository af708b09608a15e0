"""Networks by name: from the catalogue, installed packages, and the user's own modules.

=======================  =========================================================================
``digits-cnn``           a network of the catalogue (:data:`raiw.nets.registry.NETS`)
``timm/resnet18``        a model of timm
``transformers/CLASS``   a model class of transformers
``name``                 an entry point of the group ``raiw.networks`` of an installed package
``package.module:name``  a function or class of a module
=======================  =========================================================================

Weights are drawn at random; nothing is ever downloaded. Nothing heavy is imported until a network
is asked for.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from types import ModuleType

from raiw import extras
from raiw.errors import NotFound, RaiwError
from raiw.names import unknown
from raiw.nets import modules
from raiw.nets.network import Network
from raiw.nets.registry import NETS, build

GROUP = "raiw.networks"
"""Entry-point group: a network's name, and the function or class that makes it."""
FAMILIES = {"timm": "raiw.nets.timm_models", "transformers": "raiw.nets.transformers_models"}
"""First part of a name, and the module with ``names()`` and ``find(name)`` for the rest."""

OnFault = Callable[[str, RaiwError], None]
"""Told of a package or module that cannot be used, and why."""


def find_network(name: str, allowed: Sequence[str] | None = None) -> Network:
    """Return a network by its name.

    Parameters
    ----------
    allowed
        What may be imported only because a name says so: ``timm``, ``transformers``,
        ``package.module`` or ``package.module:name``; None allows any, also below the current
        folder.

    Raises
    ------
    NotFound
        There is none; the message suggests the nearest name.
    NetworkNotAllowed
        Its module may not be imported.
    MissingExtra
        Its package is not installed.
    InvalidNetwork
        The package or module cannot be imported.
    """
    if name in NETS:
        return _of_catalogue(name)
    if name in _points():
        return _of_point(_points()[name])
    family, _, rest = name.partition("/")
    if family in FAMILIES:
        if allowed is not None and family not in allowed:
            raise modules.not_allowed(name, family)
        found: Network = _family(family).find(rest)
        return found
    if ":" in name:
        return modules.find(name, allowed)
    raise unknown(name, known_names(), "network", NotFound)


def known_names(others: Sequence[str] = ()) -> list[str]:
    """Return what messages list: networks of this machine, others, and patterns."""
    families = [f"{family}/…" for family in FAMILIES]
    return [*NETS, *_points(), *others, *families, "package.module:function"]


def list_networks(
    allowed: Sequence[str] = (*FAMILIES,), on_fault: OnFault = lambda _, __: None
) -> Iterator[Network]:
    """Yield every network that this machine can build and may.

    That is all of timm and transformers where they are installed; and from a module, the torch
    modules it defines and the functions annotated to return one.
    """
    yield from map(_of_catalogue, NETS)
    for point in _points().values():
        with _telling(point.name, on_fault):
            yield _of_point(point)
    for entry in allowed:
        with _telling(entry, on_fault):
            if entry not in FAMILIES:
                yield from modules.networks_of(entry)
            elif find_spec(entry):
                family = _family(entry)
                yield from map(family.find, family.names())


def are_there_more(allowed: Sequence[str]) -> bool:
    """Return whether there may be networks beyond the catalogue, without importing any."""
    return bool(_points()) or any(entry not in FAMILIES or find_spec(entry) for entry in allowed)


@contextmanager
def _telling(what: str, on_fault: OnFault) -> Iterator[None]:
    try:
        yield
    except RaiwError as error:
        on_fault(what, error)


def _of_catalogue(name: str) -> Network:
    return Network(name, partial(build, name), NETS[name].input_shape)


@cache
def _points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def _of_point(point: EntryPoint) -> Network:
    return modules.network(point.name, modules.imported(point.name, point.load))


def _family(name: str) -> ModuleType:
    module: ModuleType = modules.imported(name, lambda: extras.load(FAMILIES[name]))
    return module
