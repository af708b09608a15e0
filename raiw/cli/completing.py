"""What the shell offers when somebody presses Tab; whatever goes wrong, it offers nothing."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

_SERVER_SECONDS = 2.0
_MOST_JOBS = 50


def _offered(names: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """Return what typer asks for the names that begin as the text does."""

    def offer(incomplete: str) -> list[str]:
        with suppress(Exception):
            return [name for name in names() if name.startswith(incomplete)]
        return []

    return offer


def _specs() -> Iterator[str]:
    from raiw import catalogue

    yield from catalogue.names()
    for pattern in ("*.yaml", "*.yml", "*.json", "*.toml"):
        yield from map(str, Path().glob(pattern))


def _networks() -> Iterable[str]:
    from raiw.nets.registry import NETS

    return NETS


def _masks() -> Iterable[str]:
    return map(str, Path().glob("*.safetensors"))


def _data() -> Iterator[str]:
    from raiw.training.data.registry import DATASETS, available

    yield from dict.fromkeys([*DATASETS, *available(Path())])


def _scores() -> Iterable[str]:
    from raiw.importance.methods import SCORES

    return SCORES


def _pruning() -> Iterable[str]:
    from raiw.pruning.methods import METHODS

    return METHODS


def _budgets() -> Iterable[str]:
    from raiw.budgets.methods import METHODS

    return METHODS


def _exports() -> Iterable[str]:
    from raiw.publishing import PLACES

    return PLACES


def _jobs() -> Iterator[str]:
    from itertools import islice

    from raiw.client import Client

    with Client(deadline=_SERVER_SECONDS) as client:
        for job in islice(client.jobs(), _MOST_JOBS):
            yield job.id


specs = _offered(_specs)
networks = _offered(_networks)
masks = _offered(_masks)
data = _offered(_data)
scores = _offered(_scores)
pruning = _offered(_pruning)
budgets = _offered(_budgets)
exports = _offered(_exports)
jobs = _offered(_jobs)
