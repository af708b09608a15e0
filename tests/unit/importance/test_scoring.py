"""Importance scores of torch networks: each against a slow reading of its formula."""

import copy
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import raiw
from raiw.errors import InvalidImportance, InvalidInput
from raiw.importance.methods import SCORES
from raiw.nets.registry import build

BATCHES, SIZE = 3, 4


class Net(nn.Module):
    """Every kind of layer: grouped, depthwise, transposed, attention, a tied weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.grouped = nn.Conv2d(6, 4, 2, groups=2, bias=False)
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.up = nn.ConvTranspose2d(4, 6, 2, groups=2)
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.twice = nn.Linear(6, 6)
        self.tied = nn.Linear(6, 6)
        self.tied.weight = self.twice.weight
        self.head = nn.Linear(6, 3)
        self.frozen = nn.Linear(3, 3)
        self.frozen.weight.requires_grad_(requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.norm(self.first(x)))
        x = self.up(torch.tanh(self.depthwise(self.grouped(x))))
        x = x.flatten(2).transpose(1, 2)
        x = x + self.attention(x, x, x, need_weights=False)[0]
        x = self.tied(torch.tanh(self.twice(x)))
        return self.frozen(self.head(x.mean(1)))


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    model = Net().double()
    model.norm.running_mean.normal_()
    return model.train()


@pytest.fixture(scope="module")
def data() -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [
        (
            torch.randn(SIZE, 2, 5, 5, generator=generator).double(),
            torch.randint(0, 3, (SIZE,), generator=generator),
        )
        for _ in range(BATCHES)
    ]


def weights(model: nn.Module) -> Iterator[tuple[str, Tensor, int]]:
    """Yield the layers as a reader of the model would list them."""
    for name in ("first", "grouped", "depthwise", "up", "attention.in_proj_weight"):
        if name.endswith("in_proj_weight"):
            for part, own in zip("qkv", part_of(model.attention.in_proj_weight), strict=True):
                yield f"{name}.{part}", own, 0
        else:
            layer = model.get_submodule(name)
            yield name, layer.weight, layer.groups if name == "up" else 0
    for name in ("attention.out_proj", "twice", "head", "frozen"):
        yield name, model.get_submodule(name).weight, 0


def part_of(weight: Tensor) -> Iterator[Tensor]:
    """Yield the thirds of a fused projection, with its gradient."""
    for place in range(3):
        rows = slice(6 * place, 6 * place + 6)
        part = weight.detach()[rows]
        if weight.grad is not None:
            part.grad = weight.grad[rows]
        yield part


def graph_first(values: Tensor, groups: int) -> np.ndarray:
    """Return ``(out, in/groups, taps)``, one number at a time."""
    if not groups:
        return values.reshape(*values.shape[:2], -1).detach().numpy()
    n_in, per_group = values.shape[0] // groups, values.shape[1]
    taps = values.reshape(*values.shape[:2], -1)
    found = np.zeros((groups * per_group, n_in, taps.shape[2]))
    for g in range(groups):
        for o in range(per_group):
            for i in range(n_in):
                found[g * per_group + o, i] = taps[g * n_in + i, o].detach().numpy()
    return found


def evaluated(model: nn.Module) -> nn.Module:
    model = copy.deepcopy(model).eval()
    for parameter in model.parameters():
        parameter.requires_grad_(requires_grad=True)
    return model


def sample_gradients(model: nn.Module, data: list, *, loss: bool) -> list[dict[str, np.ndarray]]:
    """Return one sample's gradient after the other, by plain backward passes."""
    found = []
    for inputs, labels in data:
        for i in range(len(inputs)):
            model.zero_grad()
            outputs = model(inputs[i : i + 1])
            value = functional.cross_entropy(outputs, labels[i : i + 1]) if loss else outputs.sum()
            value.backward()
            found.append({n: graph_first(w.grad, g) for n, w, g in weights(model)})
    return found


@pytest.mark.parametrize("taps", ["l1", "l2"])
@pytest.mark.parametrize("samples", ["signed", "absolute"])
@pytest.mark.parametrize("method", ["gradient", "loss_gradient"])
def test_gradients_are_those_of_eq_10(
    net: Net, data: list, method: str, samples: str, taps: str
) -> None:
    model = evaluated(net)
    each = sample_gradients(model, data, loss=method == "loss_gradient")
    scores = raiw.score(net, data, method, samples=samples, taps=taps)
    for name, _, _ in weights(model):
        every = np.stack([gradients[name] for gradients in each])
        mean = np.abs(every).mean(0) if samples == "absolute" else np.abs(every.mean(0))
        wanted = np.sqrt((mean**2).sum(2)) if taps == "l2" else mean.sum(2)
        assert scores[name] == pytest.approx(wanted, rel=1e-6, abs=1e-12)


def test_taylor_and_snip_follow_from_the_loss_gradient(net: Net, data: list) -> None:
    model = evaluated(net)
    each = sample_gradients(model, data, loss=True)
    taylor, snip = raiw.score(net, data, "taylor"), raiw.score(net, data, "snip")
    products = {
        name: graph_first(weight, groups) * np.mean([g[name] for g in each], axis=0)
        for name, weight, groups in weights(model)
    }
    total = sum(np.abs(product).sum() for product in products.values())
    for name, product in products.items():
        assert taylor[name] == pytest.approx(np.abs(product.sum(2)), rel=1e-5, abs=1e-12)
        assert snip[name] == pytest.approx(np.abs(product).sum(2) / total, rel=1e-5, abs=1e-12)
    assert sum(layer.sum(dtype=float) for layer in snip.values()) == pytest.approx(1)


def test_grasp_is_the_directional_derivative_of_the_gradient(net: Net, data: list) -> None:
    """H g by a central difference of gradients along g."""
    model = evaluated(net)

    def gradient(step: float, along: dict[str, Tensor]) -> dict[str, Tensor]:
        moved = copy.deepcopy(model)
        with torch.no_grad():
            for name, weight, _ in weights(moved):
                weight.add_(step * along[name])
        moved.zero_grad()
        for inputs, labels in data:
            (functional.cross_entropy(moved(inputs), labels) / len(data)).backward()
        return {name: weight.grad.clone() for name, weight, _ in weights(moved)}

    g = gradient(0, {name: torch.zeros_like(weight) for name, weight, _ in weights(model)})
    ahead, behind = gradient(1e-4, g), gradient(-1e-4, g)
    scores = raiw.score(net, data, "grasp")
    for name, weight, groups in weights(model):
        product = weight * (ahead[name] - behind[name]) / 2e-4
        wanted = graph_first(product, groups).sum(2)
        assert scores[name] == pytest.approx(wanted, rel=1e-4, abs=1e-8)


def test_synflow_is_the_same_in_every_layer_of_a_chain() -> None:
    torch.manual_seed(2)
    chain = nn.Sequential(
        nn.Conv2d(2, 5, 3, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(20, 7, bias=False),
        nn.ReLU(), nn.Linear(7, 3, bias=False),
    )  # fmt: skip
    scores = raiw.score(chain, torch.zeros(1, 2, 4, 4), "synflow")
    assert [layer.sum(dtype=float) for layer in scores.values()] == pytest.approx([1, 1, 1])
    first, second, third = (chain[i].weight.detach().abs().double() for i in (0, 3, 5))
    reached = functional.conv2d(torch.ones(1, 2, 4, 4).double(), first).flatten()
    flow = third * (second @ reached)
    assert scores["5"] == pytest.approx((flow / flow.sum()).numpy())


def test_synflow_of_a_deep_network_is_finite() -> None:
    """The flow itself is above 1e100, and scores are stored in single precision."""
    torch.manual_seed(2)
    net = build("resnet110-cifar100")
    scores = raiw.score(net, torch.zeros(1, 3, 32, 32), "synflow")
    assert scores["fc"].sum(dtype=float) == pytest.approx(1, rel=0.01)  # its bias has the rest


def test_magnitude_and_random(net: Net) -> None:
    for name, weight, groups in weights(net):
        wanted = np.abs(graph_first(weight, groups)).sum(2)
        assert raiw.score(net, method="magnitude")[name] == pytest.approx(wanted, rel=1e-6)
    first, other = (
        raiw.score(net, method="random", seed=4),
        raiw.score(net, method="random", seed=5),
    )
    assert all(np.array_equal(first[n], raiw.score(net, method="random", seed=4)[n]) for n in first)
    assert not np.array_equal(first["first"], other["first"])
    assert min(layer.min() for layer in first.values()) >= 0
    assert max(layer.max() for layer in first.values()) < 1


@pytest.mark.filterwarnings("ignore:'entropic'")  # it tells what it cannot regress
@pytest.mark.parametrize("method", SCORES)
def test_every_score_leaves_the_model_as_it_was(method: str, net: Net, data: list) -> None:
    net.head.weight.grad = torch.ones_like(net.head.weight)
    before = copy.deepcopy(net.state_dict())
    flags = [parameter.requires_grad for parameter in net.parameters()]
    modes = [module.training for module in net.modules()]
    random_state = torch.get_rng_state()
    seen: list[int] = []
    scores = raiw.score(net, data, method, on_batch=seen.append)
    again = raiw.score(net, data, method)
    assert all(np.array_equal(scores[name], again[name]) for name in scores)
    assert list(scores) == list(again)
    assert set(scores) == {name for name, _, _ in weights(net)}
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in before.items())
    assert [parameter.requires_grad for parameter in net.parameters()] == flags
    assert [module.training for module in net.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random_state)
    assert torch.equal(net.head.weight.grad, torch.ones_like(net.head.weight))
    assert net.first.weight.grad is None
    assert scores.provenance["method"] == method


def test_scores_are_an_importance_file(net: Net, data: list, tmp_path) -> None:
    scores = raiw.score(net, data, "gradient")
    scores.save(tmp_path / "scores.safetensors")
    layer = {"name": "head", "kind": "linear", "in_features": 6, "out_features": 3}
    spec = {"layers": [layer], "craft": {"degree": 2}}
    masks = raiw.craft(spec, tmp_path / "scores.safetensors")
    assert masks["head"].edges == 12
    assert masks == raiw.craft(spec, scores)
    for made in (masks, raiw.craft(spec, scores), raiw.load(masks.to_bytes())):
        assert made.origin.scored_by == scores.provenance
        assert made.origin.scored_by["options"] == {"samples": "signed", "taps": "l1"}


def test_models_of_several_inputs_and_outputs() -> None:
    class Inner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 2)

        def forward(self, a: Tensor, b: Tensor) -> dict[str, Tensor]:
            return {"other": a.sum(), "logits": self.fc(a + b)}

    batch = {"a": torch.ones(2, 3), "b": torch.arange(3.0).repeat(2, 1)}
    assert raiw.score(Inner(), [batch], "gradient")["fc"].tolist() == [[1.0, 2.0, 3.0]] * 2
    pair = [(batch, torch.zeros(2, dtype=torch.long))]
    assert raiw.score(Inner(), pair, "snip")["fc"].shape == (2, 3)


def test_layers_whose_scores_tell_nothing_are_named() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    nn.init.zeros_(net[1].weight)  # as the last scale of a residual block is at the start
    with pytest.warns(UserWarning, match="'snip' says nothing about 2 of 2 layers.*: 0, 1; craft"):
        scores = raiw.score(net, [(torch.ones(2, 3), torch.zeros(2, dtype=torch.long))], "snip")
    assert scores.uninformative == ["0", "1"]


@pytest.mark.parametrize(
    ("method", "given", "options", "words"),
    [
        ("gradients", None, {}, "did you mean 'gradient'"),
        ("gradient", None, {}, "needs data"),
        ("gradient", "snip", {}, r"score\(model, data, 'snip'\)"),
        ("snip", [torch.ones(2, 3)], {}, "needs labels"),
        ("gradient", [], {}, "no samples"),
        ("gradient", torch.ones(2, 4), {}, "cannot run on these inputs"),
        ("gradient", ["text"], {}, "a batch is a str"),
        ("gradient", torch.ones(2, 3), {"taps": "l3"}, "one of 'l1', 'l2'"),
        ("gradient", torch.ones(2, 3), {"tap": "l1"}, "did you mean 'taps'"),
        ("snip", torch.ones(2, 3), {}, "needs labels"),
    ],
)
def test_bad_input(method: str, given: object, options: dict, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        raiw.score(nn.Linear(3, 2), given, method, **options)


def test_what_has_no_score_is_named() -> None:
    with pytest.raises(InvalidInput, match="no linear layer"):
        raiw.score(nn.Sequential(nn.ReLU()), method="magnitude")
    broken = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    with torch.no_grad():
        broken[1].weight[0, 0] = float("nan")
    with pytest.raises(InvalidImportance, match="layer '1'"):
        raiw.score(broken, method="magnitude")


class Cut(nn.Linear):
    """Its outputs have no gradient in its weights."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).detach()


@pytest.mark.parametrize(
    ("last", "method", "words"),
    [
        (nn.Hardsigmoid(), "grasp", "hardsigmoid_backward is not implemented; 'grasp' alone"),
        (Cut(4, 4), "snip", "does not require grad"),
    ],
)
def test_a_gradient_that_torch_does_not_have_is_told(
    last: nn.Module, method: str, words: str
) -> None:
    model = nn.Sequential(nn.Linear(4, 4), last)
    batches = [(torch.randn(3, 4), torch.tensor([0, 1, 2]))]
    with pytest.raises(InvalidInput, match=words):
        raiw.score(model, batches, method)
    assert set(raiw.score(model, method="magnitude")) >= {"0"}


class Greedy(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_too_little_memory_is_no_fault_of_the_input() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        raiw.score(nn.Sequential(Greedy(4, 4)), torch.zeros(1, 4), "gradient")


def weighted(weight: Tensor) -> nn.Linear:
    layer = nn.Linear(8, 8)
    layer.weight = nn.Parameter(weight, requires_grad=weight.is_floating_point())
    return layer


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (weighted(torch.zeros(32, 1, dtype=torch.uint8)), "its weight is uint8"),
        (nn.Linear(8, 8, dtype=torch.complex64), "its weight is complex64"),
        (weighted(torch.randn(1, 8).expand(8, 8)), "share memory"),
        (weighted(torch.empty(0, 8)), "no element"),
    ],
)
def test_weights_that_no_mask_or_score_is_for_are_left_out(layer: nn.Linear, words: str) -> None:
    model = nn.Sequential(layer, nn.Linear(8, 4))
    with pytest.warns(UserWarning, match=f"left out: 0 .*{words}"):
        spec = raiw.Spec.from_model(model, density=0.5)
    assert [one.name for one in spec.layers] == ["1"]
    assert list(raiw.score(model, method="magnitude")) == ["1"]


def test_a_model_without_values_is_read_and_masked_but_not_scored() -> None:
    model = nn.Sequential(nn.Linear(8, 8, device="meta"), nn.Linear(8, 4, device="meta"))
    raiw.apply(model, raiw.craft(raiw.Spec.from_model(model, density=0.5))).check()
    with pytest.raises(InvalidInput, match="meta device"):
        raiw.score(model, method="magnitude")
    with torch.inference_mode():
        model = nn.Sequential(nn.Linear(8, 4))
    with pytest.raises(InvalidInput, match="inference mode"):
        raiw.score(model, method="magnitude")


def test_buffers_that_grow_while_a_model_runs_are_put_back() -> None:
    """As those of observers of quantisation do."""

    class Growing(nn.Linear):
        def __init__(self) -> None:
            super().__init__(4, 4)
            self.register_buffer("seen", torch.empty(0))

        def forward(self, x: Tensor) -> Tensor:
            self.seen.resize_(4).copy_(x.detach().amax(0))
            return super().forward(x)

    model = nn.Sequential(Growing())
    raiw.score(model, torch.randn(3, 4), "gradient")
    assert model[0].seen.shape == (0,)
