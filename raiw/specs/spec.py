"""The spec document: a network's layers, what to craft for them and how scores are read."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import yaml
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from raiw import catalogue, extras
from raiw.algorithms import ALGORITHMS, BOUNDS_REVISION
from raiw.canonical import digest_of_json
from raiw.errors import InvalidSpec, TooLarge
from raiw.files import naming
from raiw.names import check_name
from raiw.readers.checkpoints import read_shapes, shapes_of_file, shapes_of_state
from raiw.readers.documents import read_document
from raiw.readers.layers import dense_rules
from raiw.readers.modules import read_weights, tied_rules
from raiw.specs.crafting import Craft, ImportanceReading
from raiw.specs.document import Document
from raiw.specs.gates import Gates
from raiw.specs.layers import Layer
from raiw.specs.limits import AtMost
from raiw.specs.plan import Plan, plan_layers

MAX_LAYERS = 10_000
MAX_NAME = 200
_YAML_WIDTH = 100


class Spec(Document):
    """What a user asks for. The same model is the YAML file, the REST body and the argument.

    >>> spec = Spec.parse({
    ...     "layers": [{"name": "fc", "kind": "linear", "in_features": 4, "out_features": 8}],
    ...     "craft": {"degree": 2},
    ... })
    >>> spec.plan().edges
    8
    """

    unkeyed: ClassVar[frozenset[str]] = frozenset({"gates"})

    name: Annotated[str, Field(max_length=MAX_NAME)] = ""
    """A name for people; it changes no mask."""
    model: Annotated[str, Field(max_length=MAX_NAME)] | None = None
    """A network or preset of the catalogue, instead of ``layers``."""
    layers: Annotated[tuple[Layer, ...], AtMost(MAX_LAYERS)] = ()
    craft: Craft = Craft()
    importance: ImportanceReading | None = None
    """How the importance file is read; left out, it holds scores."""
    gates: Gates | None = None
    """What the masks must keep to. They are stored even if they do not; the command exits 6."""

    @model_validator(mode="before")
    @classmethod
    def _prepare(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        layers = value.get("layers", ())
        if isinstance(layers, list | tuple) and len(layers) > MAX_LAYERS:
            raise TooLarge(
                f"{len(layers)} layers; one spec may have {MAX_LAYERS}: split the network",
                pointer="/layers",
                limit=MAX_LAYERS,
            )
        model = value.get("model")
        named = isinstance(model, str) and len(model) <= MAX_NAME
        return _from_catalogue(value) if named else value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.layers:
            raise InvalidSpec("a spec needs layers, or a model of the catalogue", pointer="/layers")
        seen: dict[str, int] = {}
        for index, layer in enumerate(self.layers):
            if layer.name in seen:
                raise InvalidSpec(
                    f"layer name {layer.name!r} is used by layers {seen[layer.name]} and {index}; "
                    f"names must differ",
                    pointer=f"/layers/{index}/name",
                )
            seen[layer.name] = index
        algorithm = self.craft.algorithm
        if algorithm is not None:
            check_name(algorithm, ALGORITHMS, "algorithm", InvalidSpec, pointer="/craft/algorithm")
        self.plan(scored=True)
        return self

    @cached_property
    def _plans(self) -> dict[str, Plan]:
        """The plans made so far, by algorithm."""
        return {}

    def __copy__(self) -> Self:
        """Copy without the plans, since ``model_copy`` changes what they are of."""
        copied = super().__copy__()
        copied.__dict__.pop("_plans", None)
        return copied

    @classmethod
    def load(cls, source: str | Path) -> Self:
        """Read a spec from a YAML, JSON or TOML file, standard input (``-``) or the catalogue.

        Raises
        ------
        InvalidSpec
            The document is not what a spec is.
        NotFound
            There is neither such a file nor such a name.
        """
        if str(source) in catalogue.names():
            return cls.parse({"model": str(source)})
        document = read_document(source)
        with naming("standard input" if str(source) == "-" else source):
            return cls.parse(document)

    @classmethod
    def of(cls, source: "Spec | Mapping[str, Any] | str | Path") -> "Spec":
        """Return a spec given as itself, as a decoded document, or as a file or catalogue name."""
        if isinstance(source, Spec):
            return source
        if isinstance(source, Mapping):
            return cls.parse(dict(source))
        return cls.load(source)

    @classmethod
    def from_model(
        cls,
        model: Any,
        *,
        input_size: tuple[int, ...] | None = None,
        bare: Mapping[str, str] | None = None,
        **craft: Any,
    ) -> Self:
        """Read the layers of a torch module; ``craft`` holds the fields of that section.

        Linear layers (GPT-2's Conv1D among them), convolutions, recurrent layers, projections of
        attention and experts of mixtures count, each weight once. Queries, keys and values in one
        weight, gates, and experts are layers of their own, called like the weight with ``.q``,
        ``.i`` or ``.3`` behind. Layers with one input or one output a group, and those that share
        their weight with an embedding, are kept dense, and their rules say why; rules given in
        ``craft`` come after and win. A layer whose weight is computed is left out, and a warning
        names it; with weight norm it is the direction ``v`` that has the mask.

        Parameters
        ----------
        input_size
            Shape of one input without the batch: the positions of each layer are counted, by one
            run of the model on a copy without values.
        bare
            Parameters of no known layer that are layers too: ``linear`` for ``(out, in)``,
            ``linear_transpose`` for ``(in, out)``, by globs over their names; of three axes the
            first one counts layers.
        craft
            The fields of the section ``craft``; without a target every edge is kept.

        Examples
        --------
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
        >>> [layer.edges for layer in Spec.from_model(net, density=0.5).plan().layers]
        [64, 32]

        Raises
        ------
        InvalidSpec
            The model has no such layer or one without a shape yet, does not run on an input of
            that size, a glob of ``bare`` names no parameter, or the target does not fit.
        """
        reading = read_weights(model, input_size, bare)
        reading.warn()
        if not reading.layers:
            raise InvalidSpec("the model has no linear layer and no convolution")
        craft = craft or {"density": 1.0}
        rules = [*tied_rules(reading.layers), *craft.get("rules", ())]
        layers = [layer.to_document() for layer in reading.layers]
        return cls.of_layers(layers, craft | {"rules": rules})

    @classmethod
    def from_state_dict(
        cls, state: Mapping[str, Any], *, transposed: Iterable[str] = (), **craft: Any
    ) -> Self:
        """Read the layers of a state dict, by the names and shapes of its tensors.

        A state dict does not tell groups: a grouped convolution is read as one graph of its
        ``(out, in/groups)``. Nor does it tell which side of a weight comes first, other than by a
        bias that fits one side only: name layers that store their inputs first by globs in
        ``transposed``. Square matrices go the way of the others. An embedding is told by its name
        (``embed…``, ``wte``, ``wpe``, …), or as the one matrix without a bias where the others
        store inputs first. A warning names what neither names nor shapes tell.

        Raises
        ------
        InvalidSpec
            No tensor is the weight of a layer, a glob of ``transposed`` matches no layer, or the
            target does not fit.
        """
        reading = read_shapes(shapes_of_state(state), transposed)
        reading.warn()
        return cls.of_layers(reading.layers, craft)

    @classmethod
    def from_safetensors(
        cls, path: str | Path, *, transposed: Iterable[str] = (), **craft: Any
    ) -> Self:
        """Read the layers of a checkpoint in safetensors, from the file's header alone.

        What names and shapes do not tell is taken as by :meth:`from_state_dict`.

        Raises
        ------
        InvalidSpec
            No tensor is the weight of a layer, a glob of ``transposed`` matches no layer, or the
            target does not fit.
        InvalidTensors
            It is not a safetensors file, or is malformed.
        NotFound
            There is no such file.
        """
        reading = read_shapes(shapes_of_file(path), transposed)
        reading.warn()
        return cls.of_layers(reading.layers, craft)

    @classmethod
    def from_onnx(cls, path: str | Path, **craft: Any) -> Self:
        """Read the layers of an ONNX file (``raiw[onnx]``): no code is run, no other file opened.

        Every stored weight of a ``Conv``, ``ConvTranspose``, ``Gemm`` or ``MatMul`` is a layer,
        named like the weight, and like its bias where an exporter has given the weight a number.
        ``positions`` are counted where the file's shapes tell them.

        Raises
        ------
        InvalidNetwork
            It is not an ONNX file, is damaged, keeps its tensors in other files, or has no layer.
        InvalidSpec
            A layer cannot stand in a spec, or the target does not fit.
        NotFound
            There is no such file.
        TooLarge
            A limit is exceeded: bytes, nodes or layers.
        MissingExtra
            The package onnx is not installed.
        """
        reader = extras.load("raiw.readers.onnx_file")
        return cls.of_layers(reader.read(path).layers, craft)

    @classmethod
    def of_layers(cls, layers: list[dict[str, Any]], craft: dict[str, Any], name: str = "") -> Self:
        """Return the spec of layer documents; those that cannot be sparse are kept dense.

        Without a target in ``craft`` every edge is kept.

        Raises
        ------
        InvalidSpec
            A layer cannot stand in a spec, or the target does not fit.
        """
        if not craft:
            craft = {"density": 1.0}
        rules = [*dense_rules(layers), *craft.get("rules", ())]
        return cls.parse({"name": name, "layers": layers, "craft": craft | {"rules": rules}})

    def canonical(self) -> dict[str, Any]:
        """Return the document with its defaults left out: what is stored and sent."""
        document: dict[str, Any] = self.model_dump(mode="json", exclude_defaults=True)
        return document

    def to_yaml(self) -> str:
        """Return the canonical document as YAML, which :meth:`load` reads."""
        return yaml.safe_dump(
            self.canonical(), sort_keys=False, default_flow_style=None, width=_YAML_WIDTH
        )

    def canonical_origin(self) -> dict[str, Any]:
        """Return the canonical document of what is in the mask file: without gates."""
        return {
            field: value for field, value in self.canonical().items() if field not in self.unkeyed
        }

    def algorithm(self, *, scored: bool) -> str:
        """Return the algorithm's name, decided by the presence of scores where it is left out.

        Raises
        ------
        InvalidSpec
            The algorithm needs scores and there are none.
        """
        name = self.craft.algorithm or ("raiw" if scored else "regular")
        if ALGORITHMS[name].scores == "needed" and not scored:
            raise InvalidSpec(
                f"algorithm {name!r} needs importance scores: attach an importance file, or use "
                f"algorithm 'regular'",
                pointer="/craft/algorithm",
            )
        return name

    def plan(self, *, scored: bool = False) -> Plan:
        """Return every layer's exact edges and degrees; builds nothing, and is computed once.

        Raises
        ------
        InvalidSpec
            The algorithm needs scores and there are none.
        """
        name = self.algorithm(scored=scored)
        if name not in self._plans:
            known = next(iter(self._plans.values()), None)
            layers = (
                plan_layers(self.layers, self.craft, name)
                if known is None
                # With scores or without, what stands for no algorithm keeps the same contract.
                else tuple(replace(layer, algorithm=name) for layer in known.layers)
            )
            self._plans[name] = Plan(name, layers)
        return self._plans[name]

    def _repr_html_(self) -> str:
        from raiw.specs.html import plan_html

        return plan_html(self.plan(scored=True), self.name or self.model or "Spec")

    def content_key(self, importance: str | None = None) -> str:
        """Return the key of the result: the same key always means the same bits.

        It covers every field with its default, the algorithm with its revision, and the digest of
        the importance file; never the version of the package. Name and notes change no mask, but
        the mask file repeats them.
        """
        algorithm = ALGORITHMS[self.algorithm(scored=importance is not None)]
        covered: dict[str, Any] = {
            "spec": self.keyed(),
            "algorithm": [algorithm.name, algorithm.revision],
            "importance": importance,
        }
        if importance is not None and self.craft.certificate(algorithm.name):
            covered["bounds"] = BOUNDS_REVISION
        return digest_of_json(covered)


def _from_catalogue(value: dict[str, Any]) -> dict[str, Any]:
    """Fill in what a model or preset of the catalogue says; the document's own fields win."""
    name = value["model"]
    check_name(name, catalogue.names(), "model", InvalidSpec, pointer="/model")
    known = catalogue.read(name) or {}
    if "layers" in value and not _same_layers(value["layers"], known["layers"]):
        raise InvalidSpec(
            f"give model or layers, not both: these are not the layers of {name!r}",
            pointer="/layers",
        )
    fields = {key: known[key] for key in ("layers", "craft") if key in known}
    return {"name": name} | fields | value


def _same_layers(given: Any, known: list[Any]) -> bool:
    """Whether a document that was filled in before (as the canonical form is) comes back."""
    try:
        return bool(_LAYERS.validate_python(given) == _LAYERS.validate_python(known))
    except ValidationError:
        return False


_LAYERS: TypeAdapter[Any] = TypeAdapter(Annotated[tuple[Layer, ...], AtMost(MAX_LAYERS)])
