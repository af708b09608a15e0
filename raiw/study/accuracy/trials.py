"""The runs of a study by training: methods × densities × seeds, each named by what decides it."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from raiw.algorithms import ALGORITHMS
from raiw.canonical import digest_of_json, hex_digits
from raiw.errors import InvalidInput
from raiw.importance.methods import find_score
from raiw.jobs.study import check_counts
from raiw.specs.spec import Spec
from raiw.study.accuracy.networks import StudiedNetwork
from raiw.training.data.registry import open_dataset
from raiw.training.recipe import Recipe

OnEpochsDone = Callable[[int, str], None]
"""Called with the number of epochs done, over all runs, and a message about runs."""

DENSE = "dense"
METHODS = ("regular", "random", "expander", "raiw", "magnitude")
"""The methods compared by default."""
EVERY_IMAGE = 1 << 30
"""Training images that scores are made from: all there are."""
_KEY_DIGITS = 16
"""Digits of a content key that name a folder."""
_TARGETS = frozenset({"degree", "density", "edges", "n", "parameters", "flops"})


@dataclass(frozen=True, slots=True)
class TrialMethod:
    """An algorithm, and the score it is given.

    >>> TrialMethod.parse("raiw").score, TrialMethod.parse("regular").score
    ('gradient', None)
    """

    name: str
    algorithm: str
    score: str | None
    """A name of :data:`raiw.importance.methods.SCORES`."""
    group_outputs: int | None = None
    """Consecutive outputs that share their inputs; None is what the spec says."""

    def variants(self, group_outputs: Sequence[int]) -> "list[TrialMethod]":
        """Return the method with each number of outputs that share their inputs, named so."""
        if self.algorithm == DENSE or not group_outputs:
            return [self]
        return [
            replace(self, name=f"{self.name} g={outputs}", group_outputs=outputs)
            for outputs in dict.fromkeys(group_outputs)
        ]

    @classmethod
    def parse(cls, name: str) -> "TrialMethod":
        """Read ``ALGORITHM`` or ``ALGORITHM:SCORE``.

        An algorithm that needs scores gets ``gradient`` if none is named; ``magnitude`` gets its
        namesake.

        Raises
        ------
        InvalidInput
            The algorithm or score is unknown, or the algorithm uses no scores.
        """
        algorithm, colon, score = name.partition(":")
        check_counts([algorithm], seeds=1)
        uses = ALGORITHMS[algorithm].scores
        if not colon:
            own = "magnitude" if algorithm == "magnitude" else "gradient"
            return cls(name, algorithm, own if uses == "needed" else None)
        if uses == "ignored":
            raise InvalidInput(f"{name!r}: {algorithm!r} uses no scores; write {algorithm!r}")
        return cls(name, algorithm, find_score(score).name)


@dataclass(frozen=True, slots=True)
class Trial:
    """One training run."""

    method: TrialMethod
    density: float | None
    seed: int
    """Decides the first weights and the order of the images, and the graph where none is fixed."""
    craft: dict[str, Any] | None
    """The spec that is crafted; None trains the dense network."""
    scored: str | None
    """Key of the dense run whose network is scored, if one is."""
    scored_seed: int
    """Seed of that run, and of its scores."""
    key: str
    """Content key: equal keys mean equal numbers."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What all runs of a study share."""

    network: StudiedNetwork
    data: str
    data_dir: Path
    data_digest: str
    recipe: Recipe
    device: str | None

    def recipe_of(self, craft: dict[str, Any] | None) -> Recipe:
        """Return the recipe of a run; without masks there is nothing that could change them."""
        return self.recipe if craft else self.recipe.model_copy(update={"dynamics": None})


@dataclass(frozen=True, slots=True)
class TrialPlan:
    """All runs of a study, those of the dense network first."""

    setting: Setting
    spec: Spec
    methods: tuple[TrialMethod, ...]
    """The first one is the base of all comparisons; the dense network is always among them."""
    densities: tuple[float, ...]
    seeds: tuple[int, ...]
    trials: tuple[Trial, ...]
    fixed_graph: bool = False
    """Whether methods with scores have one graph for all seeds."""


def plan_training(  # noqa: PLR0913 -- what decides a study
    spec: Spec | Mapping[str, Any] | str | Path,
    data: str = "digits",
    *,
    data_dir: str | Path = ".",
    methods: Sequence[str] = METHODS,
    densities: Sequence[float] = (0.1,),
    group_outputs: Sequence[int] = (),
    seeds: int = 5,
    fixed_graph: bool = False,
    recipe: Recipe | Mapping[str, Any] | None = None,
    device: str | None = None,
    data_digest: str | None = None,
    network: StudiedNetwork | None = None,
) -> TrialPlan:
    """Plan the training of one network with the masks of several methods.

    Parameters
    ----------
    spec
        Names a network of the catalogue that has a torch module, or has the layers of ``network``.
        Each density replaces its target; its rules stay.
    methods
        ``ALGORITHM`` or ``ALGORITHM:SCORE``, as in ``raiw:snip``; the first is the base.
    group_outputs
        Values of ``craft.group_outputs`` to compare, each with every method; left out, the spec's.
    seeds
        Runs of each method and density, from the spec's seed on.
    fixed_graph
        Methods that are given scores craft one graph, from the network of the first seed, and train
        it with every seed, as in Table 3 of the paper; others draw a graph for each seed.
    recipe, data, data_dir, device
        As in :func:`raiw.train`.
    data_digest
        Digest of the data set if it is not on this machine; it is not opened then.
    network
        Any other network, by :meth:`StudiedNetwork.named`; its ``spec()`` has its layers.

    Raises
    ------
    InvalidInput
        A method is unknown, a density is not in (0, 1], or the spec names no network.
    NotFound
        The network has no module, or there is no such data set.
    InvalidSpec, InvalidData
        Spec or recipe are wrong; the data set is damaged.
    """
    spec = Spec.of(spec)
    check_counts([], seeds)
    if not methods or not densities:
        raise InvalidInput("a study needs at least one method and one density")
    chosen = [
        method
        for name in dict.fromkeys([*methods, DENSE])
        for method in TrialMethod.parse(name).variants(group_outputs)
    ]
    setting = Setting(
        network=network or StudiedNetwork.of_spec(spec),
        data=data,
        data_dir=Path(data_dir),
        data_digest=data_digest or open_dataset(data, data_dir).digest,
        recipe=recipe if isinstance(recipe, Recipe) else Recipe.parse(dict(recipe or {})),
        device=device,
    )
    shares = tuple(dict.fromkeys(_checked(density) for density in densities))
    numbers = tuple(range(spec.craft.seed, spec.craft.seed + seeds))
    trials = tuple(_trials(setting, spec, chosen, shares, numbers, fixed_graph=fixed_graph))
    return TrialPlan(setting, spec, tuple(chosen), shares, numbers, trials, fixed_graph)


def folder_of(study: Path, key: str) -> Path:
    """Return where the run with a content key is kept in a study's folder."""
    return study / "runs" / hex_digits(key)[:_KEY_DIGITS]


def _checked(density: float) -> float:
    if not (math.isfinite(density) and 0 < density <= 1):
        raise InvalidInput(f"density {density:g}: give a share above 0 and at most 1")
    return density


def _trials(
    setting: Setting,
    spec: Spec,
    methods: Sequence[TrialMethod],
    densities: Sequence[float],
    seeds: Sequence[int],
    *,
    fixed_graph: bool,
) -> Iterator[Trial]:
    dense = {seed: _key(setting, seed, None, None) for seed in seeds}
    for method in sorted(methods, key=lambda method: method.algorithm != DENSE):
        if method.algorithm == DENSE:
            yield from (Trial(method, None, seed, None, None, seed, dense[seed]) for seed in seeds)
            continue
        for density in densities:
            for seed in seeds:
                of = seeds[0] if fixed_graph and method.score else seed
                document = _at(spec, method, density, of)
                scored = dense[of] if method.score else None
                key = _key(setting, seed, document, _scores(method.score, scored))
                yield Trial(method, density, seed, document, scored, of, key)


def _at(spec: Spec, method: TrialMethod, density: float, seed: int) -> dict[str, Any]:
    document = spec.canonical()
    kept = {name: v for name, v in document.get("craft", {}).items() if name not in _TARGETS}
    craft = kept | {"algorithm": method.algorithm, "density": density, "seed": seed}
    if method.group_outputs is not None:
        craft.pop("group_outputs", None)
        if method.group_outputs > 1:  # 1 is left out of canonical documents
            craft["group_outputs"] = method.group_outputs
    return document | {"craft": craft}


def _scores(score: str | None, dense: str | None) -> dict[str, Any] | None:
    if score is None:
        return None
    return {"of": dense, "score": score, "revision": find_score(score).revision}


def _key(
    setting: Setting, seed: int, craft: dict[str, Any] | None, scores: dict[str, Any] | None
) -> str:
    algorithm = craft and ALGORITHMS[craft["craft"]["algorithm"]]
    recipe = setting.recipe_of(craft)
    revision, *others = recipe.revisions
    return digest_of_json(
        {
            "revision": [revision, *others] if others else revision,
            "network": setting.network.keyed(),
            "data": setting.data_digest,
            "recipe": recipe.keyed(),
            "seed": seed,
            "craft": craft,
            "algorithm": algorithm and algorithm.revision,
            "scores": scores,
        }
    )
