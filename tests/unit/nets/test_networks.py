"""Networks by name: which there are, which may be imported, and what names their code."""

import importlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import raiw
from raiw.cli.app import run
from raiw.errors import (
    InvalidNetwork,
    MissingExtra,
    NetworkChanged,
    NetworkNotAllowed,
    NotFound,
    RaiwError,
)
from raiw.jobs.network import NamedNetwork
from raiw.masks import channels
from raiw.nets import code, networks
from raiw.nets.modules import networks_of
from raiw.nets.networks import find_network, list_networks
from raiw.pruning.prune import prune

OWN = """
import subprocess
from torch import nn
from subprocess import run
from torch.nn import Linear
from acme_blocks import block

class Tiny(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.inner = block(width)
    def forward(self, x):
        return self.inner(x)

def small(width: int = 4) -> nn.Module:
    return Tiny(width)

small.input_shape = (1, 8, 8)

def untold(width=4):
    return Tiny(width)

def number(width=4):
    return width

def _hidden() -> nn.Module:
    return Tiny()
"""
BLOCKS = """
from torch import nn
def block(width):
    return nn.Sequential(nn.Conv2d(1, width, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36 * width, 10))
"""


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path with the package acme and the single file acme_blocks."""
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "__init__.py").write_text("")
    (tmp_path / "acme" / "nets.py").write_text(OWN)
    (tmp_path / "acme_blocks.py").write_text(BLOCKS)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    forget()


def forget() -> None:
    """Let what was imported be imported anew, as another process does."""
    for name in [name for name in sys.modules if name.startswith("acme")]:
        del sys.modules[name]
    importlib.invalidate_caches()
    code._digest.cache_clear()
    code._imports.cache_clear()


def names(*allowed: str) -> set[str]:
    return {network.name for entry in allowed for network in networks_of(entry)}


def test_a_module_of_ones_own_is_a_network(acme: Path) -> None:
    network = find_network("acme.nets:small")
    assert network.input_shape == (1, 8, 8)
    assert network.build({"width": 6})(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    for name, error, words in (
        ("acme.nets:none", NotFound, "no function 'none'"),
        ("acme.none:small", NotFound, "No module named 'acme.none'"),
        ("acme.nets:small:", NotFound, "package.module:function"),
        ("smal", NotFound, "no network 'smal'"),
    ):
        with pytest.raises(error, match=words):
            find_network(name)
    for name, arguments, words in (
        ("acme.nets:small", {"depth": 3}, r"\(depth=3\): TypeError: .*depth"),
        ("acme.nets:small", {"width": -1}, "RuntimeError"),
        ("acme.nets:number", {}, "makes a int"),
        ("digits-cnn", {"width": 4}, "cannot be built"),
    ):
        with pytest.raises(InvalidNetwork, match=words):
            find_network(name).build(arguments)


def test_only_what_is_listed_is_imported(acme: Path) -> None:
    """And of a whole module only networks: what it has imported itself is nobody's to call."""
    for allowed in ((), ("acme",), ("acme.net",), ("acme.nets:untold",)):
        with pytest.raises(NetworkNotAllowed, match=r"list acme.nets or acme.nets:small"):
            find_network("acme.nets:small", allowed)
        if "acme.nets:untold" not in allowed:
            assert "acme.nets" not in sys.modules
    whole = ("acme.nets",)
    assert names(*whole) == {"acme.nets:small", "acme.nets:Tiny"}
    assert find_network("acme.nets:Tiny", whole).build({"width": 2})
    for leaf in (
        "run",
        "subprocess",
        "nn",
        "Linear",
        "untold",
        "number",
        "_hidden",
        "block",
        "__name__",
    ):
        with pytest.raises(NetworkNotAllowed, match=rf"list acme.nets:{leaf} itself"):
            find_network(f"acme.nets:{leaf}", whole)
    assert find_network("acme.nets:untold", ("acme.nets:untold",)).build({})
    assert names("acme.nets:untold") == {"acme.nets:untold"}


def test_what_cannot_be_imported_is_told_and_the_rest_is_listed(acme: Path) -> None:
    (acme / "acme" / "broken.py").write_text("raise RuntimeError('no licence')")
    faults: dict[str, RaiwError] = {}
    wanted = ("acme.broken", "acme.none", "acme.nets", "acme.nets:small")
    found = {network.name for network in list_networks(wanted, faults.__setitem__)}
    assert {"acme.nets:small", "digits-cnn"} <= found
    assert isinstance(faults["acme.broken"], InvalidNetwork)
    assert "no licence" in faults["acme.broken"].message
    assert isinstance(faults["acme.none"], NotFound)


CHANGES = {
    "acme/nets.py": OWN.replace("width: int = 4", "width: int = 5"),
    "acme_blocks.py": BLOCKS.replace("nn.ReLU()", "nn.GELU()"),
    "acme/sizes.yaml": "width: 3",
    "acme/later.py": "",
}


@pytest.mark.parametrize("file", CHANGES)
def test_other_code_is_another_revision(acme: Path, file: str) -> None:
    before = find_network("acme.nets:small").revision
    forget()
    assert find_network("acme.nets:small").revision == before
    assert find_network("acme.nets:Tiny").revision == before
    (acme / file).write_text(CHANGES[file])
    forget()
    assert find_network("acme.nets:small").revision != before


def test_the_revision_does_not_depend_on_what_else_is_imported(acme: Path) -> None:
    before = find_network("acme.nets:small").revision
    (acme / "acme" / "__pycache__").mkdir(exist_ok=True)
    (acme / "acme" / "__pycache__" / "nets.cpython-311.pyc").write_bytes(b"x")
    forget()
    import acme_blocks  # type: ignore[import-not-found]  # noqa: F401

    assert find_network("acme.nets:small").revision == before


def test_packages_bring_networks_by_entry_points(
    acme: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = acme / "acme-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[raiw.networks]\nacme-small = acme.nets:small\n")
    networks._points.cache_clear()
    try:
        assert "acme-small" in {network.name for network in list_networks()}
        # Whoever has installed the package has allowed it.
        network = find_network("acme-small", ())
        assert network.input_shape == (1, 8, 8)
        assert network.revision == find_network("acme.nets:small").revision
        with pytest.raises(NotFound, match="did you mean 'acme-small'"):
            find_network("acme-smal")
    finally:
        networks._points.cache_clear()


def test_another_code_than_asked_for_is_refused(acme: Path) -> None:
    revision = find_network("acme.nets:small").revision
    asked = NamedNetwork(name="acme.nets:small", revision=revision)
    assert asked.initialised(None, 0)
    (acme / "acme_blocks.py").write_text(BLOCKS.replace("nn.ReLU()", "nn.GELU()"))
    forget()
    with pytest.raises(NetworkChanged, match="ask again, without network_revision"):
        asked.initialised(None, 0)


SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
IMAGES = {"image_size": 16, "patch_size": 8, "num_channels": 1, "num_labels": 10}


@pytest.mark.skipif(find_spec("transformers") is None, reason="transformers is not installed")
def test_transformers_are_built_without_a_download(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError(f"network access: {arguments}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    name = "transformers/ViTForImageClassification"
    network = find_network(name)
    model = network.build(SIZES | IMAGES | {"intermediate_size": 32})
    assert model(torch.zeros(2, 1, 16, 16)).shape == (2, 10)
    text = find_network("transformers/BertForSequenceClassification")
    model = text.build(SIZES | {"intermediate_size": 32, "vocab_size": 50})
    assert model(torch.zeros(2, 7, dtype=torch.long)).shape == (2, 2)
    with pytest.raises(NotFound, match="did you mean 'ViTForImageClassification'"):
        find_network("transformers/ViTForImageClasification")
    for argument in (
        {"use_pretrained_backbone": True},
        {"attn_implementation": "kernels-community/flash-attn"},
        {"_name_or_path": "vit"},
    ):
        with pytest.raises(raiw.RaiwError, match="leave it out"):
            network.build(argument)


def test_families_are_allowed_like_modules() -> None:
    assert not networks.are_there_more(()) or networks._points()
    assert networks.are_there_more(("acme.nets",))
    for family in networks.FAMILIES:
        with pytest.raises(NetworkNotAllowed, match=rf"list {family} in RAIW_NETWORK_MODULES"):
            find_network(f"{family}/resnet18", ("acme.nets",))


def test_what_is_not_installed_is_named_with_its_extra() -> None:
    code = (
        "import sys\nsys.modules['timm'] = None\n"
        "from raiw.nets.networks import find_network\n"
        "try:\n    find_network('timm/resnet18')\n"
        "except Exception as error:\n    print(error.code, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "missing-extra timm is missing: pip install 'raiw[timm]'\n"
    assert MissingExtra.code == "missing-extra"


def test_a_network_that_lost_channels_is_drawn_as_its_size_asks_for() -> None:
    """An output keeps its variance: k of n inputs carry weights sqrt(n/k) times as large."""
    whole = NamedNetwork(name="lenet-mnist")
    dense = whole.initialised(None, 3)
    pruned = prune(dense, whole.example(), "l1_filter", channel_sparsity=0.5)
    small = NamedNetwork(name="lenet-mnist", channels=pruned.channels)
    drawn = small.initialised(None, 3)
    assert raiw.Spec.from_model(drawn).plan().weights == pruned.weights
    kept = {name: torch.from_numpy(bits) for name, bits in pruned.channels.kept.items()}
    for layer, before in (("conv2", "conv1"), ("fc2", "fc1"), ("fc3", "fc2")):
        outputs = kept.get(layer, torch.ones(10, dtype=torch.bool))
        chosen = dense.get_submodule(layer).weight.detach()[outputs][:, kept[before]]  # type: ignore[index]
        lost = len(kept[before]) / int(kept[before].sum())
        assert lost == 2
        torch.testing.assert_close(
            drawn.get_parameter(f"{layer}.weight").detach(), chosen * lost**0.5
        )
    assert torch.equal(
        drawn.get_parameter("conv1.weight"), dense.get_parameter("conv1.weight")[kept["conv1"]]
    )


def test_channels_chosen_from_those_left_are_channels_of_the_whole() -> None:
    """Pruned twice by command: the second file of channels stands for both steps."""
    whole = NamedNetwork(name="digits-cnn")
    model = whole.initialised(None, 0)
    first = prune(model, whole.example(), "l1_filter", channel_sparsity=0.5)
    second = prune(first.smaller, whole.example(), "l1_filter", channel_sparsity=0.5)
    both = second.channels.after(first.channels)
    left = NamedNetwork(name="digits-cnn", channels=both)._shrunk(model.eval())
    for name, value in second.smaller.state_dict().items():
        assert torch.equal(value, left.state_dict()[name]), name
    assert first.channels.after(None) is first.channels


def test_the_commands_know_own_and_pruned_networks(
    acme: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Train, prune, fine-tune and train the small one from scratch, score it, craft and train."""
    monkeypatch.chdir(acme)
    own = ["acme.nets:small", "-a", "width=8"]
    brief = ["--data", "digits", "--set", "epochs=1", "--set", "batch=64", "--set", "augment=false"]
    weights, lost = "dense/weights.safetensors", ["--pruned", "channels"]

    def told(*arguments: str) -> dict[str, object]:
        assert run([*arguments, "--json"]) == 0, capsys.readouterr().err
        said: dict[str, object] = json.loads(capsys.readouterr().out.splitlines()[-1])
        return said

    dense = told("train", *own, *brief, "-o", "dense")
    assert dense["network"] == "acme.nets:small"
    pruning = ["-m", "l1_filter", "--option", "channel_sparsity=0.5"]
    pruned = told("prune", *own, "-w", weights, *pruning, "-o", "small", "--channels", "channels")
    assert pruned["weights"] == dense["weights"] / 2  # type: ignore[operator]
    scratch = told("train", *own, *lost, *brief, "-o", "scratch")
    tuned = told("train", *own, *lost, "-w", "small", *brief, "-o", "tuned")
    assert scratch["weights"] == tuned["weights"] == pruned["weights"]
    assert tuned["history"][0]["train_loss"] < scratch["history"][0]["train_loss"]  # type: ignore[index]
    first = ["score", *own, *lost, "-w", "tuned/weights.safetensors", "-m", "snip"]
    scored = told(*first, "--data", "digits", "-o", "scores")
    assert told("spec", *own, *lost, "-o", "spec.yaml", "--density", "0.5") == scored["spec"] | {  # type: ignore[operator]
        "craft": {**scored["spec"]["craft"], "density": 0.5}  # type: ignore[index]
    }
    told("craft", "spec.yaml", "-i", "scores", "-o", "masks", "--local")
    sparse = told("train", *own, *lost, "-w", "small", *brief, "--masks", "masks", "-o", "sparse")
    assert sparse["mask_violations"] == 0
    assert sparse["weights"] < pruned["weights"]  # type: ignore[operator]
    again = ["prune", *own, *lost, "-w", "small", *pruning, "-o", "less", "--channels", "fewer"]
    assert told(*again)["weights"] == dense["weights"] / 4  # type: ignore[operator]
    assert channels.load("fewer").kept["inner.0"].sum() == 2
    assert load_file("less")["inner.0.weight"].shape[0] == 2


def test_networks_are_listed(acme: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = subprocess.run(
        [
            sys.executable, "-P", "-m", "raiw", "networks", "acme*",
            "--module", "acme.nets", "--module", "acme.none",
        ],
        cwd=acme, capture_output=True, encoding="utf-8", timeout=120, check=True,
        env=os.environ | {"PYTHONUTF8": "1"},
    )  # fmt: skip
    assert "acme.nets:small" in said.stdout
    assert "\t1x8x8\t" in said.stdout
    assert "no networks of acme.none" in said.stderr
    assert run(["networks", "dig*", "--json"]) == 0
    (digits,) = json.loads(capsys.readouterr().out)["items"]
    assert digits == {"name": "digits-cnn", "input_shape": [1, 8, 8], "revision": None}
    assert isinstance(find_network("digits-cnn").build({}), nn.Module)
