"""Layers that store their inputs first, and weights that an embedding shares: GPT-2 in small."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import raiw
from raiw.errors import InvalidImportance, InvalidInput
from raiw.pruning.prune import prune
from raiw.specs.crafting import ImportanceReading

WIDTH, WORDS = 8, 30


class Conv1D(nn.Module):
    """As transformers has it: a linear layer whose weight is (in, out)."""

    __module__ = "transformers.pytorch_utils"

    def __init__(self, nf: int, nx: int) -> None:
        super().__init__()
        self.nf, self.nx = nf, nx
        self.weight = nn.Parameter(torch.randn(nx, nf))
        self.bias = nn.Parameter(torch.zeros(nf))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x.reshape(-1, self.nx), self.weight).view(
            *x.shape[:-1], self.nf
        )


class GPT2Attention(nn.Module):
    __module__ = "transformers.models.gpt2.modeling_gpt2"

    def __init__(self) -> None:
        super().__init__()
        self.c_attn = Conv1D(3 * WIDTH, WIDTH)
        self.c_proj = Conv1D(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.c_attn(x).split(WIDTH, dim=2)
        return self.c_proj(torch.softmax(query @ key.mT, -1) @ value)


class GPT2(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wte = nn.Embedding(WORDS, WIDTH)
        self.wpe = nn.Embedding(5, WIDTH)
        self.attn = GPT2Attention()
        self.c_fc = Conv1D(4 * WIDTH, WIDTH)
        self.c_proj = Conv1D(WIDTH, 4 * WIDTH)
        self.lm_head = nn.Linear(WIDTH, WORDS, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, ids: Tensor) -> Tensor:
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1], device=ids.device))
        x = x + self.attn(x)
        return self.lm_head(x + self.c_proj(torch.relu(self.c_fc(x))))


@pytest.fixture
def net() -> GPT2:
    torch.manual_seed(0)
    return GPT2()


def test_its_layers_are_known_by_class_and_the_tied_head_stays_dense(net: GPT2) -> None:
    spec = raiw.Spec.from_model(net, density=0.5)
    assert {layer.name: (layer.kind, layer.graph_shape) for layer in spec.layers} == {
        "attn.c_attn.q": ("linear_transpose", (WIDTH, WIDTH)),
        "attn.c_attn.k": ("linear_transpose", (WIDTH, WIDTH)),
        "attn.c_attn.v": ("linear_transpose", (WIDTH, WIDTH)),
        "attn.c_proj": ("linear_transpose", (WIDTH, WIDTH)),
        "c_fc": ("linear_transpose", (4 * WIDTH, WIDTH)),
        "c_proj": ("linear_transpose", (WIDTH, 4 * WIDTH)),
        "lm_head": ("linear", (WORDS, WIDTH)),
    }
    assert [layer.name for layer in spec.plan().layers if layer.dense] == ["lm_head"]
    (rule,) = spec.craft.rules
    assert rule.note == "its weight is that of the embedding 'wte' too"
    asked = raiw.Spec.from_model(net, density=0.5, rules=[{"match": "lm_head", "density": 0.5}])
    assert not any(layer.dense for layer in asked.plan().layers)


@pytest.mark.filterwarnings("ignore:.synflow. says nothing")
@pytest.mark.parametrize("method", ["magnitude", "snip", "gradient", "grasp", "taylor", "synflow"])
def test_scores_and_masks_lie_as_the_graph_does(net: GPT2, method: str) -> None:
    """What is done to one unit of a layer is seen at that unit's row or column of every score."""
    ids = torch.randint(0, WORDS, (3, 4))
    scores = raiw.score(net, [(ids, ids)], method)
    slow = net.attn.c_attn.weight.detach().T.abs().numpy()
    assert scores["attn.c_attn.k"].shape == (WIDTH, WIDTH)
    if method == "magnitude":
        assert np.allclose(scores["attn.c_attn.k"], slow[WIDTH : 2 * WIDTH])
        assert np.allclose(scores["c_fc"], net.c_fc.weight.detach().T.abs())
    masks = raiw.craft(raiw.Spec.from_model(net, density=0.5), scores)
    handle = raiw.apply(net, masks)
    for name, mask in masks.items():
        if name == "lm_head":
            continue
        path, _, part = name.rpartition(".c_attn.")
        module = net.get_submodule(f"{path}.c_attn" if part in "qkv" and path else name)
        weight = module.weight.detach().T
        own = weight.chunk(3)["qkv".index(part)] if part in "qkv" and path else weight
        assert (own[~torch.from_numpy(mask.numpy())] == 0).all()
        assert torch.count_nonzero(own) == mask.edges
    assert torch.count_nonzero(net.wte.weight) == WORDS * WIDTH
    optimizer = torch.optim.AdamW(net.parameters())
    for _ in range(2):
        net(ids).square().mean().backward()
        optimizer.step()
    handle.check()


def test_a_square_layer_is_refused_the_wrong_way_round(net: GPT2) -> None:
    layer = {"name": "attn.c_proj", "kind": "linear", "in_features": WIDTH, "out_features": WIDTH}
    masks = raiw.craft({"layers": [layer], "craft": {"degree": 2}})
    with pytest.raises(InvalidInput, match="the other way round: set its kind to linear_transpose"):
        raiw.apply(net, masks)


def test_its_state_dict_tells_the_same_layers(net: GPT2, tmp_path) -> None:
    known = [layer for layer in raiw.Spec.from_model(net).layers if layer.name != "lm_head"]
    assert list(raiw.Spec.from_state_dict(net.state_dict()).layers) == known
    state = {name: value.clone() for name, value in net.state_dict().items()}
    state["tokens_of_another_name.weight"] = state.pop("wte.weight")
    spec = raiw.Spec.from_state_dict(state)
    assert list(spec.layers) == known
    # The weights as scores: they lie as the spec says.
    save_file(state, tmp_path / "net.safetensors")
    layers = [layer.model_dump() for layer in known if "c_attn" not in layer.name]
    given = {"layers": layers, "craft": {"density": 0.25}, "importance": {"method": "magnitude"}}
    masks = raiw.craft(given, tmp_path / "net.safetensors")
    plain = {n: np.abs(state[f"{n}.weight"].numpy().T) for n in ("attn.c_proj", "c_fc", "c_proj")}
    assert masks == raiw.craft({k: v for k, v in given.items() if k != "importance"}, plain)
    layers[0]["kind"] = layers[1]["kind"] = "linear"
    with pytest.raises(InvalidImportance, match=r"'c_fc'.*transposed"):
        raiw.craft(given, tmp_path / "net.safetensors")


@pytest.mark.parametrize(
    ("state", "kinds", "doubt"),
    [
        # A square one goes the way of its namesake, else of all others, else outputs first.
        (
            {"a.c": (4, 8), "a.c/": (8,), "b.c": (4, 4), "b.c/": (4,), "d": (4, 8), "d/": (4,)},
            {"a.c": "linear_transpose", "b.c": "linear_transpose", "d": "linear"},
            None,
        ),
        ({"a": (4, 8), "a/": (8,), "b": (4, 4), "b/": (4,)}, {"b": "linear_transpose"}, None),
        ({"a": (4, 8), "a/": (4,), "b": (4, 4), "b/": (4,)}, {"b": "linear"}, None),
        (
            {"a": (4, 8), "a/": (8,), "b": (4, 4), "b/": (4,), "d": (4, 8), "d/": (4,)},
            {"b": "linear"},
            "outputs come first in b",
        ),
        ({"a": (9, 4), "b": (4, 4), "b/": (4,)}, {"a": "linear"}, "a without a bias are linear"),
        ({"a": (4, 9), "a/": (9,), "b": (9, 4)}, {"a": "linear_transpose"}, None),
    ],
)
def test_what_shapes_and_pairs_tell(state: dict, kinds: dict, doubt: str | None) -> None:
    tensors = {
        (f"{name[:-1]}.bias" if name.endswith("/") else f"{name}.weight"): torch.ones(shape)
        for name, shape in state.items()
    }
    if doubt is None:
        spec = raiw.Spec.from_state_dict(tensors)
    else:
        with pytest.warns(UserWarning, match=f"taken for granted: {doubt}"):
            spec = raiw.Spec.from_state_dict(tensors)
    found = {layer.name: layer.kind for layer in spec.layers}
    assert {name: found[name] for name in kinds} == kinds


def test_a_checkpoint_scores_the_parts_of_its_fused_weights(net: GPT2, tmp_path) -> None:
    """`raiw spec net.safetensors`, then the same file as scores."""
    model = nn.ModuleDict(
        {"gpt": net, "lstm": nn.LSTM(WIDTH, 4), "self": nn.MultiheadAttention(WIDTH, 2)}
    )
    state = {name: value.clone() for name, value in model.state_dict().items()}
    state.pop("gpt.lm_head.weight")
    save_file(state, tmp_path / "net.safetensors")
    spec = raiw.Spec.from_safetensors(tmp_path / "net.safetensors", density=0.5)
    known = raiw.score(model, method="magnitude")
    assert {layer.name for layer in spec.layers} == {*known} - {"gpt.lm_head"}
    wanted = raiw.craft(spec, known)
    weights = spec.model_copy(update={"importance": ImportanceReading(method="magnitude")})
    for scores in (tmp_path / "net.safetensors", state):
        masks = raiw.craft(weights, scores)
        assert masks == wanted
    state["self.in_proj_weight"] = state["self.in_proj_weight"][:-1]
    with pytest.raises(
        InvalidImportance, match=r"no importance scores for layer .self.in_proj_weight.q"
    ):
        raiw.craft(weights, state)


def test_channels_leave_layers_that_store_their_inputs_first() -> None:
    torch.manual_seed(0)
    model, ids = GPT2(), torch.arange(8).view(2, 4)
    pruned = prune(model, ids, "l1_filter", channel_sparsity=0.5)
    small = pruned.smaller
    assert [small.c_fc.nf, small.c_proj.nx] == [2 * WIDTH, 2 * WIDTH]
    assert [*small.c_fc.weight.shape, *small.c_proj.weight.shape] == [8, 16, 16, 8]
    norms = model.c_fc.weight.detach().abs().sum(0)
    kept = torch.tensor(pruned.channels.kept["c_fc"])
    assert norms[kept].min() > norms[~kept].max()
    assert torch.allclose(small(ids), pruned.model(ids), atol=1e-5)
    assert small.lm_head.weight is small.wte.weight
