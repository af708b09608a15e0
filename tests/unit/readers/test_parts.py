"""Weights that are several layers in one: gates, projections, experts; and adapted layers."""

import copy
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import raiw
from raiw.applying.counts import count
from raiw.errors import InvalidInput, InvalidSpec
from raiw.importance.scored_model import ScoredModel, layers_to_score
from raiw.readers.modules import read_weights

WIDTH = 6


def classed(name: str, base: type = nn.Module) -> type:
    """Return a class of another package's name, which is all that the reader knows of it."""
    module, _, own = name.rpartition(".")
    return type(own, (base,), {"__module__": module, "__qualname__": own})


class Tagger(nn.Module):
    def __init__(self, layer: nn.Module, width: int) -> None:
        super().__init__()
        self.layer, self.head = layer, nn.Linear(width, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x)[0].mean(1))


RECURRENT = {
    "lstm": (lambda: Tagger(nn.LSTM(WIDTH, 5, batch_first=True), 5), "ifgo"),
    "deep, both ways": (
        lambda: Tagger(nn.LSTM(WIDTH, 5, 2, bidirectional=True, batch_first=True), 10), "ifgo",
    ),
    "projected": (lambda: Tagger(nn.LSTM(WIDTH, 5, proj_size=3, batch_first=True), 3), "ifgo"),
    "gru": (lambda: Tagger(nn.GRU(WIDTH, 5, batch_first=True), 5), "rzn"),
    "rnn": (lambda: Tagger(nn.RNN(WIDTH, 5, batch_first=True), 5), ""),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("name", RECURRENT)
def test_every_gate_has_a_graph_of_its_own(name: str) -> None:
    torch.manual_seed(0)
    make, gates = RECURRENT[name]
    net, x, y = make(), torch.randn(3, 7, WIDTH), torch.randint(0, 4, (3,))
    spec = raiw.Spec.from_model(net, degree=2, input_size=(7, WIDTH))
    recurrent = [n for n, _ in net.named_parameters() if "weight_" in n]
    whole = [n for n in recurrent if "_hr_" in n or not gates]
    parts = [f"{n}.{gate}" for n in recurrent if n not in whole for gate in gates]
    assert {layer.name for layer in spec.layers} == {*parts, *whole, "head"}
    assert {layer.positions for layer in spec.layers if layer.name != "head"} == {7}
    known = raiw.Spec.from_state_dict(net.state_dict(), degree=2)
    assert known == raiw.Spec.from_model(net, degree=2)
    scores = raiw.score(net, [(x, y)], "snip")
    masks = raiw.craft(spec, scores)
    handle = raiw.apply(net, masks)
    optimizer = torch.optim.AdamW(net.parameters())
    for _ in range(2):
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
    handle.check()
    for n in recurrent:
        blocks = net.get_parameter(n).detach().chunk(1 if n in whole else len(gates))
        names = [n] if n in whole else [f"{n}.{gate}" for gate in gates]
        for own, block in zip(names, blocks, strict=True):
            assert ((block != 0).numpy() == masks[own].numpy()).all()
    counted = count(net, masks, (7, WIDTH))
    assert counted.weights == masks.weights == spec.plan().weights


def test_scores_of_a_part_are_those_of_its_rows() -> None:
    torch.manual_seed(0)
    net = Tagger(nn.GRU(WIDTH, 5, batch_first=True), 5)
    x = torch.randn(3, 7, WIDTH)
    net(x).sum().backward()
    gradient = net.layer.weight_hh_l0.grad.abs() / len(x)
    scores = raiw.score(net, x, "gradient")
    for gate, rows in zip("rzn", gradient.chunk(3), strict=True):
        assert scores[f"layer.weight_hh_l0.{gate}"] == pytest.approx(rows.numpy(), rel=1e-5)


def fused(parent: str, child: str, layer: nn.Module, **facts: object) -> nn.Module:
    module = classed(parent)()
    module.add_module(child, layer)
    for name, value in facts.items():
        setattr(module, name, value)
    return nn.ModuleDict({"attn": module})


class Config:
    num_attention_heads = 3


HEADS = [[2 * (3 * head + place) + i for head in range(3) for i in range(2)] for place in range(3)]


@pytest.mark.parametrize(
    ("net", "rows"),
    [
        (
            fused("timm.layers.attention.Attention", "qkv", nn.Linear(6, 18)),
            {"q": range(6), "k": range(6, 12), "v": range(12, 18)},
        ),
        (fused("timm.models.levit.Attention", "qkv", nn.Linear(6, 18)), {}),
        (fused("mine.Attention", "qkv", nn.Linear(6, 18)), {}),
        (
            fused(
                "transformers.models.phi3.modeling_phi3.Phi3Attention", "qkv_proj",
                nn.Linear(6, 10), head_dim=2, config=Config(),
            ),
            {"q": range(6), "k": range(6, 8), "v": range(8, 10)},
        ),
        (
            fused(
                "transformers.models.bloom.modeling_bloom.BloomAttention", "query_key_value",
                nn.Linear(6, 18), head_dim=2,
            ),
            dict(zip(("query", "key", "value"), HEADS, strict=True)),
        ),
        (
            fused(
                "transformers.models.phi3.modeling_phi3.Phi3MLP", "gate_up_proj", nn.Linear(6, 8)
            ),
            {"gate": range(4), "up": range(4, 8)},
        ),
    ],
)  # fmt: skip
def test_a_fused_projection_is_one_graph_for_each_of_its_parts(net, rows) -> None:
    (child,) = (name for name, module in net.named_modules() if isinstance(module, nn.Linear))
    spec = raiw.Spec.from_model(net, degree=2)
    assert [layer.name for layer in spec.layers] == [f"{child}.{part}" for part in rows] or [child]
    masks = raiw.craft(spec, raiw.score(net, method="random"))
    raiw.apply(net, masks).check()
    weight = net.get_submodule(child).weight.detach()
    for part, own in rows.items():
        assert ((weight[list(own)] != 0).numpy() == masks[f"{child}.{part}"].numpy()).all()


@pytest.mark.parametrize(
    ("inner", "outputs", "rows"),
    [
        (
            "qkv", 16,
            {"query": [0, 1, 8, 9], "key": [2, 3, 10, 11], "value": [4, 5, 6, 7, 12, 13, 14, 15]},
        ),
        ("kv", 12, {"key": [0, 1, 6, 7], "value": [2, 3, 4, 5, 8, 9, 10, 11]}),
    ],
)  # fmt: skip
def test_levit_has_wider_values_and_a_norm_behind_its_projection(inner, outputs, rows) -> None:
    layer = nn.Module()
    layer.linear = nn.Linear(6, outputs, bias=False)
    net = fused("timm.models.levit.Attention", inner, layer, num_heads=2, key_dim=2, val_dim=4)
    (parent,) = (module for module in net.modules() if hasattr(module, "key_dim"))
    found = read_weights(net).layers
    assert {one.name.rpartition(".")[2]: one.where[-1] for one in found} == rows
    setattr(parent, inner, nn.ModuleDict({"linear": nn.Conv2d(6, outputs, 1)}))
    assert [one.where for one in read_weights(net).layers] == [()]


NAMED = ("value", "key", "query")


@pytest.mark.skipif(find_spec("transformers") is None, reason="transformers is not installed")
@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("Falcon", {"alibi": True}),
        ("Falcon", {"multi_query": False}),
        ("Falcon", {"new_decoder_architecture": True, "num_kv_heads": 2}),
        ("CodeGen", {"n_head": 4, "rotary_dim": 4}),
    ],
)
def test_parts_of_attention_are_what_the_model_takes_them_for(name: str, more: dict) -> None:
    """Without its values attention gives a constant; no queries are as good as no keys."""
    import transformers

    config = getattr(transformers, f"{name}Config")(
        vocab_size=20, hidden_size=32, num_hidden_layers=1, num_attention_heads=4, **more
    )
    torch.manual_seed(0)
    model = getattr(transformers, f"{name}Model")(config).eval()
    for parameter in model.parameters():
        parameter.data.normal_(0, 0.3)
    given: list[Tensor] = []
    last = next(
        module for path, module in model.named_modules() if path.endswith(("dense", "out_proj"))
    )
    last.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0].detach()))
    with torch.no_grad():
        for part in (None, *NAMED):
            twin = copy.deepcopy(model)
            if part:
                own = {one.name.rpartition(".")[2]: one for one in read_weights(twin).layers}
                own[part].weight[own[part].where] = 0
            twin(torch.arange(8).view(1, 8))
    whole, values, keys, queries = given
    assert not values.any()
    assert torch.allclose(keys, queries, atol=1e-5)
    assert not torch.allclose(whole, keys, atol=1e-3)


def test_the_router_of_a_mixture_is_a_linear_layer() -> None:
    """Told by the name of its class, so other parameters called weight stay what they are."""
    for name, own in (("MixtralTopKRouter", True), ("DbrxRouter", False)):
        router = classed(f"transformers.models.any.modeling_any.{name}")()
        router.weight = nn.Parameter(torch.randn(4, WIDTH))
        net = nn.ModuleDict({"gate": router, "fc": nn.Linear(WIDTH, WIDTH)})
        reading = read_weights(net)
        assert [layer.name for layer in reading.layers] == [*["gate"] * own, "fc"]
        assert list(reading.others) == [*["gate.weight"] * (not own)]
        handle = raiw.sparsify(net, density=0.5)
        assert handle.report.covered == WIDTH * (WIDTH + 4 * own)


@pytest.mark.parametrize("inputs_first", [False, True])
@pytest.mark.parametrize("name", ["MixtralExperts", "GptOssExperts"])
def test_every_expert_has_graphs_of_its_own(name: str, inputs_first: bool) -> None:
    torch.manual_seed(0)
    experts, inner = 3, 4
    module = classed(f"transformers.models.any.{name}")()
    both, down = (2 * inner, WIDTH), (WIDTH, inner)
    if inputs_first:
        both, down = both[::-1], down[::-1]
    module.gate_up_proj = nn.Parameter(torch.randn(experts, *both))
    module.down_proj = nn.Parameter(torch.randn(experts, *down))
    net = nn.ModuleDict({"experts": module})
    spec = raiw.Spec.from_model(net, degree=2)
    assert len(spec.layers) == 3 * experts
    assert {layer.transposed for layer in spec.layers} == {inputs_first}
    scores = raiw.score(net, method="magnitude")
    masks = raiw.craft(spec, scores)
    handle = raiw.apply(net, masks)
    assert handle.layers == ("experts.gate_up_proj", "experts.down_proj")
    for leaf in ("gate_up_proj", "down_proj"):
        for expert, own in enumerate(getattr(module, leaf).detach()):
            weight = own.T if inputs_first else own
            halves = {"": weight}
            if leaf == "gate_up_proj":
                pair = (weight[::2], weight[1::2]) if name == "GptOssExperts" else weight.chunk(2)
                halves = dict(zip((".gate", ".up"), pair, strict=True))
            for end, half in halves.items():
                layer = f"experts.{leaf}.{expert}{end}"
                assert ((half != 0).numpy() == masks[layer].numpy()).all()
                kept = masks[layer].numpy()
                assert scores[layer][kept] == pytest.approx(half.abs().numpy()[kept])
    # A spec that takes all of an expert as one layer still fits.
    layer = next(layer for layer in spec.layers if layer.name.endswith("down_proj.1"))
    handle.remove()
    raiw.apply(net, raiw.craft({"layers": [layer.model_dump()], "craft": {"degree": 1}})).check()


class Bare(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w1 = nn.Parameter(torch.randn(8, WIDTH))
        self.w2 = nn.Parameter(torch.randn(2, 8, 5))
        self.offset = nn.Parameter(torch.randn(3, 5))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("bi,eio->beo", torch.tanh(x @ self.w1.T), self.w2).sum(1)


def test_bare_parameters_are_layers_where_patterns_say_so() -> None:
    torch.manual_seed(0)
    net, bare = nn.ModuleDict({"m": Bare()}), {"*.w1": "linear", "*.w2": "linear_transpose"}
    with pytest.raises(InvalidSpec, match="no linear layer"):
        raiw.Spec.from_model(net)
    assert read_weights(net, bare=bare).others == {"m.offset": "a parameter of Bare"}
    spec = raiw.Spec.from_model(net, bare=bare, degree=2)
    assert {layer.name: layer.weight_shape for layer in spec.layers} == {
        "m.w1": (8, WIDTH), "m.w2.0": (8, 5), "m.w2.1": (8, 5),
    }  # fmt: skip
    masks = raiw.craft(spec, raiw.score(net, method="magnitude", bare=bare))
    raiw.apply(net, masks).check()
    assert ((net["m"].w2[1].detach().T != 0).numpy() == masks["m.w2.1"].numpy()).all()
    for wrong, words in ({"*.w3": "linear"}, "'*.w3'"), ({"*.w1": "conv2d"}, "not 'conv2d'"):
        with pytest.raises(InvalidSpec, match=words.replace("*", r"\*")):
            raiw.Spec.from_model(net, bare=wrong)


def test_a_mask_of_the_whole_and_one_of_a_part_may_not_contradict() -> None:
    net = nn.MultiheadAttention(4, 2)
    whole = {"name": "in_proj_weight", "kind": "linear", "in_features": 4, "out_features": 12}
    part = {"name": "in_proj_weight.k", "kind": "linear", "in_features": 4, "out_features": 4}
    raiw.apply(net, raiw.craft({"layers": [whole], "craft": {"degree": 2}})).remove()
    both = raiw.craft({"layers": [whole, part], "craft": {"degree": 2}})
    with pytest.raises(InvalidInput, match="share one weight"):
        raiw.apply(net, both)
    rules = [{"match": "*.k", "dense": True}, {"match": "*weight", "dense": True}]
    raiw.apply(net, raiw.craft({"layers": [whole, part], "craft": {"rules": rules, "degree": 1}}))


class Lora(nn.Module):
    """As PEFT wraps a layer."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.base_layer = layer
        self.lora_A = nn.ModuleDict({"default": nn.Linear(layer.in_features, 2, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(2, layer.out_features, bias=False)})

    def forward(self, x: Tensor) -> Tensor:
        return self.base_layer(x) + self.lora_B["default"](self.lora_A["default"](x))

    def merged(self) -> nn.Linear:
        with torch.no_grad():
            self.base_layer.weight += self.lora_B["default"].weight @ self.lora_A["default"].weight
        return self.base_layer


def test_adapted_layers_keep_their_names_and_a_merge_is_warned_of() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 4))
    masks = raiw.craft(raiw.Spec.from_model(plain, degree=2))
    inner = nn.Module()
    inner.model = copy.deepcopy(plain)
    inner.model[0] = Lora(inner.model[0])
    net = nn.ModuleDict({"base_model": inner})
    assert raiw.Spec.from_model(net, degree=2) == raiw.Spec.from_model(plain, degree=2)
    assert set(read_weights(net).others.values()) == {"an adapter"}
    with pytest.warns(UserWarning, match="adapters add to 1 layers with masks: 0; merge_and"):
        raiw.apply(net, masks).check()
    inner.model[0] = inner.model[0].merged()
    handle = raiw.applied(inner.model)
    assert handle.revived()["0"][0] > 0
    handle.enforce()
    handle.check()
    assert torch.count_nonzero(inner.model[0].weight) == masks["0"].edges


def test_a_weight_of_many_layers_is_asked_for_its_gradient_once() -> None:
    net = nn.ModuleDict({"m": Bare()})
    layers = layers_to_score(net, {"m.w2": "linear_transpose"})
    network = ScoredModel(net, layers, [], None, 0, print)
    assert len(layers) == len(net["m"].w2)
    assert [id(weight) for weight in network.parameters] == [id(net["m"].w2)]


def test_numbers_of_a_fused_weight_are_those_of_the_whole() -> None:
    """The parts' scores, put together, are the scores of the weight taken as one layer."""
    torch.manual_seed(0)
    net = nn.TransformerEncoderLayer(6, 2, 8, batch_first=True)
    x = torch.randn(3, 5, 6)
    scores = raiw.score(net, x, "gradient")
    parts = [scores[f"self_attn.in_proj_weight.{part}"] for part in "qkv"]
    whole = raiw.score(net, x, "gradient", bare={"self_attn.in_proj_weight": "linear"})
    assert np.array_equal(np.concatenate(parts), whole["self_attn.in_proj_weight"])
