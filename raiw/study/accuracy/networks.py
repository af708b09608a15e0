"""The network of a study by training: one of the catalogue, or any other by its name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from raiw import catalogue, extras
from raiw.canonical import digest_of_file
from raiw.errors import InvalidInput
from raiw.nets.networks import find_network
from raiw.nets.registry import find_net
from raiw.specs.spec import Spec

if TYPE_CHECKING:
    from raiw.jobs.network import NamedNetwork


@dataclass(frozen=True, slots=True)
class StudiedNetwork:
    """A network that is trained again and again, and what tells it from others of the name."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    channels: Path | None = None
    """File of the channels that it keeps, as ``raiw prune --channels`` writes."""
    revision: str | None = None
    """Names its code; None for those of the catalogue."""

    @classmethod
    def named(
        cls, name: str, arguments: Mapping[str, Any] | None = None, channels: Path | None = None
    ) -> Self:
        """Return a network by any name that :func:`raiw.nets.networks.find_network` knows.

        Raises
        ------
        NotFound, MissingExtra, InvalidNetwork
            There is no such network, or its module cannot be imported.
        """
        return cls(name, dict(arguments or {}), channels, find_network(name).revision)

    @classmethod
    def of_spec(cls, spec: Spec) -> Self:
        """Return the network of the catalogue that a spec names.

        Raises
        ------
        InvalidInput, NotFound
            It names none, or none that has a torch module.
        """
        if spec.model is None:
            raise InvalidInput(
                "this spec has layers of its own; a network can be trained if the spec names one "
                "of the catalogue, as in 'model: digits-cnn'; any other is named itself, in place "
                "of the spec, as in 'package.module:function'"
            )
        preset = catalogue.read(spec.model) or {}
        return cls(find_net(str(preset.get("model", spec.model))).name)

    def spec(self, input_shape: tuple[int, ...] | None = None) -> dict[str, Any]:
        """Return the spec of its layers, dense, as a document; builds it once.

        Raises
        ------
        InvalidNetwork, InvalidInput
            It cannot be built, or the channels are those of another network.
        """
        jobs = extras.load("raiw.jobs.network")
        document: dict[str, Any] = jobs.spec_of(
            self.name, self.built(input_shape).initialised(None, 0)
        )
        return document

    def built(self, input_shape: tuple[int, ...] | None) -> "NamedNetwork":
        """Return what builds it."""
        load: Callable[[Path], Any] = extras.load("raiw.masks.channels").load
        named: NamedNetwork = extras.load("raiw.jobs.network").NamedNetwork(
            name=self.name,
            arguments=self.arguments,
            channels=None if self.channels is None else load(self.channels),
            input_shape=input_shape,
            revision=self.revision,
        )
        return named

    def keyed(self) -> Any:
        """Return what decides a run: the name alone where nothing else does."""
        channels = None if self.channels is None else digest_of_file(self.channels)
        if not self.arguments and channels is None and self.revision is None:
            return self.name
        return {
            "name": self.name,
            "arguments": {**self.arguments},
            "channels": channels,
            "revision": self.revision,
        }

    def fields(self) -> dict[str, Any]:
        """Return what a job on a server has besides the name."""
        given = {"arguments": {**self.arguments}, "channels": self.channels}
        return {name: value for name, value in given.items() if value}
