"""The networks that a search chooses from, and what is known of each before it is pruned."""

import itertools
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file
from torch import nn

from raiw.budgets.budget import budget, by_slopes, open_layers
from raiw.canonical import digest_of_file
from raiw.errors import CannotPrune
from raiw.graphs import Floats
from raiw.jobs.network import NamedNetwork
from raiw.jobs.run_score import score_network
from raiw.jobs.samples import fitting_sample
from raiw.jobs.search import SearchJob
from raiw.jobs.train import TrainJob
from raiw.jobs.workspace import Workspace
from raiw.masks.channels import ChannelMasks
from raiw.pruning.prunable import remove_lowest, spread
from raiw.pruning.prune import prune
from raiw.pruning.tracing import find_groups
from raiw.searching.projecting import ShareOut
from raiw.specs.budget import slope
from raiw.specs.spec import Spec
from raiw.training.data.dataset import Dataset

_SAMPLES = 1000
"""Training images that scores and the entropic method look at."""
_SCORE = "gradient"
WIDTH = "channels kept"
"""Name of the choice among shares of channels."""
ALGORITHM = "craft.algorithm"
OUTPUTS = "craft.group_outputs"
"""Names of other choices; as in that of channels there is what no argument's name can have."""


@dataclass(frozen=True, eq=False)
class SearchedNetwork:
    """One network of a search, with the channels that its width leaves."""

    job: SearchJob
    values: Mapping[str, Any]
    """What was chosen: arguments by name, and the width."""
    network: NamedNetwork
    narrowed: Path | None
    """File of its channels, where its width leaves some."""
    data: Dataset
    """Without the images that are held back."""
    folder: Path
    """For the files it makes."""
    device: str | None

    @cached_property
    def channels(self) -> str | None:
        """Digest of the file of its channels; None where it has all."""
        return self.job.channels if self.narrowed is None else digest_of_file(self.narrowed)

    @property
    def label(self) -> str:
        """What was chosen, in a few characters that a file may be called."""
        return "-".join(str(value) for value in self.values.values()).replace("/", "_")

    @property
    def fields(self) -> dict[str, Any]:
        """What names it in the document of a job."""
        return {
            "network": self.job.network,
            "arguments": {**self.network.arguments},
            "network_revision": self.job.network_revision,
            "channels": self.channels,
        }

    @cached_property
    def model(self) -> nn.Module:
        """It as the search's seed draws it."""
        return self.network.initialised(None, self.job.seed)

    @cached_property
    def _layers(self) -> Spec:
        """Its layers, dense, with the rules of those that cannot be sparse."""
        return Spec.from_model(self.model, input_size=self.data.shape, density=1.0)

    def spec(self, algorithm: str, group_outputs: int) -> Spec:
        """Return the dense spec that an algorithm may thin out, with the search's own rules.

        Layers share as many outputs as the greatest common divisor allows; dense ones none.
        """
        layers = self._layers.canonical()
        own = self.job.craft.model_dump(mode="json", exclude_defaults=True)
        rules = [*layers["craft"].get("rules", ()), *own.get("rules", ())]
        shared = [
            {"match": layer.name, "group_outputs": outputs}
            for layer in self._layers.layers
            if (outputs := int(np.gcd(group_outputs, layer.graph_shape[0] // layer.groups))) > 1
        ]
        craft = own | {
            "algorithm": algorithm,
            "density": 1.0,
            "seed": self.job.seed,
            "rules": [*shared, *rules],
        }
        return Spec.parse({"name": self.job.network, "layers": layers["layers"], "craft": craft})

    @property
    def open_layers(self) -> list[str]:
        """Names of the layers that share the budget."""
        return open_layers(self.spec("regular", 1))

    @property
    def dense(self) -> TrainJob:
        """The training of the dense network, which scores come from."""
        return TrainJob.parse(
            {
                **self.fields,
                "data": self.job.data,
                "validation": self.job.validation,
                "recipe": self.job.recipe,
                "seeds": (self.job.seed,),
            }
        )

    def scores(self, weights: Path) -> Path:
        """Return the file of the dense network's importance scores."""

        def make(path: Path) -> None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # layers of equal scores are no fault here
                score_network(
                    self.network.trained(weights),
                    self.job.network,
                    self.data,
                    _SCORE,
                    samples=_SAMPLES,
                    seed=self.job.seed,
                    options={},
                    device=self.device,
                ).save(path)

        return self._made("scores", make)

    def score_arrays(self, weights: Path) -> dict[str, Floats]:
        """Return these scores by layer name."""
        return load_file(self.scores(weights))

    def share(self, allocation: str, weights: Path) -> ShareOut:
        """Return what shares a budget in one of the usual ways, by its name."""
        if allocation in {"uniform", "erk", "degree"}:
            return lambda spec: by_slopes(
                spec, {layer.name: slope(layer, allocation) for layer in spec.layers}
            )
        source, method = {
            "global": (self.scores, "global"),
            "afie": (lambda given: given, "afie"),
            "entropic": (self._entropic, "channels"),
        }[allocation]
        options = {"layers": "all"} if method == "afie" else {}

        def share(spec: Spec) -> Spec:
            shared = budget(spec, source(weights), method, **options).plan(scored=True)
            # Some of these ways leave an edge or two of the budget.
            return by_slopes(spec, {layer.name: layer.density for layer in shared.layers})

        return share

    def _entropic(self, weights: Path) -> Path:
        """Return the file of the channels that entropic sparsification keeps."""

        def make(path: Path) -> None:
            model = self.network.trained(weights)
            labelled = fitting_sample(model, self.job.network, self.data, _SAMPLES) or []
            batches = [images for images, _ in labelled]
            prune(model, batches[0], "entropic", data=batches).channels.save(path)

        return self._made("entropic", make)

    def _made(self, name: str, make: Callable[[Path], None]) -> Path:
        path = self.folder / f"{name}-{self.label}.safetensors"
        if not path.is_file():
            make(path)
        return path


def networks_of(job: SearchJob, space: Workspace, data: Dataset) -> list[SearchedNetwork]:
    """Return every network that a search may choose, the first choices first.

    Raises
    ------
    NotFound, InvalidNetwork, InvalidInput
        One cannot be built, or cannot lose channels.
    """
    names = [*job.choose, WIDTH]
    found = []
    for *chosen, width in itertools.product(*job.choose.values(), job.widths):
        values: dict[str, Any] = dict(zip(names, [*chosen, width], strict=True))
        named = job.model_copy(
            update={"arguments": {**job.arguments, **{n: values[n] for n in job.choose}}}
        )
        network = NamedNetwork.of(named, space.file, data, space.modules)
        narrowed = None
        if values[WIDTH] < 1:
            network, narrowed = _narrowed(network, values[WIDTH], space.folder)
        found.append(
            SearchedNetwork(job, values, network, narrowed, data, space.folder, space.device)
        )
    return found


def _narrowed(network: NamedNetwork, width: float, folder: Path) -> tuple[NamedNetwork, Path]:
    """Return a network with the first channels of each layer, so large a share, and their file."""
    model = network.initialised(None, 0).eval()
    groups = find_groups(model, network.example()).prunable
    if not groups:
        raise CannotPrune(
            f"no layer of network {network.name!r} can lose channels: leave out widths below 1"
        )
    kept = spread(
        groups,
        {
            group.name: remove_lowest(
                group, np.zeros(group.size), group.size - max(1, round(width * group.size))
            )
            for group in groups
        },
    )
    channels = ChannelMasks(kept, "width", {"width": width}, {}).after(network.channels)
    path = folder / f"channels-{channels.digest[-16:]}.safetensors"
    channels.save(path)
    return replace(network, channels=channels), path
