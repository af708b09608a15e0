"""The registry of importance scores.

A new score is one module beside this one with a function ``measure``, and one entry here that has
the module's name; nothing heavy is imported until one is loaded.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from raiw import extras
from raiw.errors import InvalidInput
from raiw.names import find, nearest

if TYPE_CHECKING:
    from raiw.graphs import Floats
    from raiw.importance.scored_model import ScoredModel


REGRESSION = {"l2": 1e-3, "entropy": 3e-3, "positions": 10}
"""Defaults of :func:`raiw.importance.regression.fit`, and positions drawn from every image."""


class Measure(Protocol):
    """Computes an importance score."""

    def __call__(self, network: "ScoredModel", **options: Any) -> "dict[str, Floats]":
        """Return the score of every edge of a network, ``(out, in/groups)`` by layer name.

        The options are those that the entry names.
        """


@dataclass(frozen=True, slots=True)
class Score:
    """What is known of an importance score without computing it."""

    name: str
    summary: str
    revision: int
    """Raised only when the same input would give different scores."""
    source: str
    """Where it is published."""
    needs_inputs: bool = True
    needs_labels: bool = False
    options: dict[str, tuple[Any, ...] | float] = field(default_factory=dict)
    """Allowed values by name of option, the default first; or the default of a number."""

    def load(self) -> Measure:
        """Import and return the function that computes the score."""
        measure: Measure = extras.load(f"raiw.importance.{self.name}").measure
        return measure

    def complete(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return all options, the given ones in place of the defaults.

        Raises
        ------
        InvalidInput
            An option or its value is unknown.
        """
        for name, value in given.items():
            if name not in self.options:
                known = ", ".join(self.options) or "none"
                hint = nearest(name, list(self.options))
                raise InvalidInput(
                    f"score {self.name!r} has no option {name!r}{hint}; its options: {known}"
                )
            self._check(name, value)
        defaults = {
            name: allowed[0] if isinstance(allowed, tuple) else allowed
            for name, allowed in self.options.items()
        }
        return defaults | given

    def _check(self, name: str, value: Any) -> None:
        allowed = self.options[name]
        if not isinstance(allowed, tuple):
            wanted = "a number", not isinstance(value, int | float) or isinstance(value, bool)
        else:
            wanted = f"one of {', '.join(map(repr, allowed))}", value not in allowed
        words, wrong = wanted
        if wrong:
            raise InvalidInput(f"option {name!r} of score {self.name!r} is {words}, not {value!r}")


SCORES: dict[str, Score] = {
    score.name: score
    for score in (
        Score(
            "gradient",
            "how the network's outputs answer to a weight (Eq. 10)",
            revision=1,
            source="Dong et al., Crafting Efficient Neural Graph of Large Entropy, IJCAI 2019",
            options={"samples": ("signed", "absolute"), "taps": ("l1", "l2")},
        ),
        Score(
            "loss_gradient",
            "how the loss answers to a weight: the other reading of Eq. 10",
            revision=1,
            source="Dong et al., Crafting Efficient Neural Graph of Large Entropy, IJCAI 2019",
            needs_labels=True,
            options={"samples": ("signed", "absolute"), "taps": ("l1", "l2")},
        ),
        Score(
            "taylor",
            "how the loss changes to first order without a filter",
            revision=1,
            source="Molchanov et al., Importance Estimation for Neural Network Pruning, CVPR 2019",
            needs_labels=True,
        ),
        Score(
            "snip",
            "sensitivity of the loss to each weight's presence",
            revision=1,
            source="Lee et al., SNIP: Single-shot Network Pruning, ICLR 2019",
            needs_labels=True,
        ),
        Score(
            "grasp",
            "what a weight does for the flow of gradients",
            revision=1,
            source="Wang et al., Picking Winning Tickets before Training by Preserving Gradient "
            "Flow, ICLR 2020",
            needs_labels=True,
        ),
        Score(
            "synflow",
            "a weight's share of the flow in the network of magnitudes; one shot, no data",
            revision=2,
            source="Tanaka et al., Pruning neural networks without any data by iteratively "
            "conserving synaptic flow, NeurIPS 2020",
        ),
        Score(
            "magnitude",
            "the weights' magnitudes",
            revision=1,
            source="Han et al., Learning both Weights and Connections, NIPS 2015",
            needs_inputs=False,
            options={"taps": ("l1", "l2")},
        ),
        Score(
            "entropic",
            "probabilities of a layer's input channels by sparse entropic regression, shared out",
            revision=1,
            source="Barisin and Horenko, Neural Computation 2025",
            options={"spread": ("magnitude", "even"), **REGRESSION},
        ),
        Score(
            "random",
            "drawn by seed, to compare with",
            revision=1,
            source="the control of every comparison",
            needs_inputs=False,
        ),
    )
}


def find_score(name: str) -> Score:
    """Return a score of the registry, or a weighted sum of some.

    Raises
    ------
    InvalidInput
        There is no score of this name; the message lists them.
    """
    if any(sign in name for sign in "*+ "):
        from raiw.importance.expressions import parse

        return parse(name)
    return find(name, SCORES, "importance score")
