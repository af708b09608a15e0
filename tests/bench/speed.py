"""What compact networks take, as ratios to the dense ones of the same run.

``python -m tests.bench.speed`` times whole VGG-16s (CIFAR) and ResNet-50s (224²), a linear layer of
SRigL's size and the MLP of an 8B transformer: dense and compact in turn, the shortest of many
rounds, on one thread and on two. ``--norms`` leaves VGG's batch norms in; dense and compact have
the same ones. ``--costs`` prints what an edge of the own kernel takes, in edges of a dense layer.
``--verdicts`` chooses a form for random layers, measures all forms again, and prints how far the
choice is from the best one; ``--busy 2`` does so beside two processes that never rest.
``--predictions`` prints what ``raiw plan --speed`` says of VGG-16 over what is measured, and
``--memory`` what whole VGG-16s need at batch 1, on disk and at the peak of a process of their own.
``--onnx`` times whole VGG-16s in ONNX Runtime and, where it is installed, OpenVINO, on one thread.
"""

import argparse
import importlib.util
import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import nn

import raiw
from raiw.compacting.calibrating import calibrate
from raiw.compacting.choosing import measure, state_bytes
from raiw.compacting.compact import forms_of
from raiw.compacting.geometry import Geometry
from raiw.compacting.layers import STANDARD_FORMS, MaskedLayer
from raiw.compacting.machine import machine
from raiw.compacting.onnx_file import export_onnx
from raiw.compacting.predicting import Predictor
from raiw.compacting.speed import measure_speed
from raiw.compacting.table import load_table
from raiw.compacting.timing import shortest_times
from raiw.nets.registry import build

FAN = 16
DENSE_IN_RESNET = ("conv1", "*.downsample.*", "fc")
WIDTHS = {"conv2": 64, "conv3": 128, "conv4": 128, "conv5": 256, "conv6": 256, "conv7": 256,
          **{f"conv{n}": 512 for n in range(8, 14)}, "linear1": 512}  # fmt: skip


def paper(shared: int) -> dict[str, Any]:
    """The paper's d-16: conv1 to conv3 and the head dense, conv4 half, the rest sparse."""
    spec = raiw.Spec.load("raiw/vgg16-d16").canonical()
    spec["craft"]["group_outputs"] = shared
    return spec


def all_sparse(shared: int) -> dict[str, Any]:
    """Every layer but the first reads 16 inputs an output."""
    rules: list[dict[str, Any]] = [{"match": "conv1", "dense": True}]
    rules += [{"match": name, "edges": FAN * width} for name, width in WIDTHS.items()]
    rules.append({"match": "linear2", "edges": FAN * 10, "group_outputs": 2 if shared > 1 else 1})
    craft = {"degree": FAN, "group_outputs": shared, "rules": rules}
    return {"model": "vgg16-cifar10", "craft": craft}


def half_of_resnet(density: float, shared: int) -> dict[str, Any]:
    """Bottleneck convolutions keep a share of their filters; stem, shortcuts and head are dense."""
    rules = [{"match": name, "dense": True} for name in DENSE_IN_RESNET]
    craft = {"density": density, "group_outputs": shared, "rules": rules}
    return {"model": "resnet50-imagenet", "craft": craft}


LAYOUTS = {"d-16": paper, "all-16": all_sparse}


def without_norms(network: nn.Module) -> nn.Module:
    for name, module in list(network.named_children()):
        if isinstance(module, nn.BatchNorm2d):
            setattr(network, name, nn.Identity())
    return network


def linear(widths: list[tuple[int, int]], density: float, shared: int) -> tuple[nn.Module, Any]:
    """Linear layers with ReLU between them, and masks for them."""
    network = nn.Sequential()
    layers = []
    for number, (n_in, out) in enumerate(widths):
        if number:
            network.append(nn.ReLU())
        sides = {"in_features": n_in, "out_features": out}
        layers.append({"name": str(len(network)), "kind": "linear", **sides})
        network.append(nn.Linear(n_in, out))
    craft = {"density": density, "group_outputs": shared}
    return network, raiw.craft({"layers": layers, "craft": craft})


def cases(norms: bool) -> Iterator[tuple[str, nn.Module, Any, tuple[int, ...]]]:
    vgg = build("vgg16-cifar10")
    if not norms:
        vgg = without_norms(vgg)
    for shared in (1, 8):
        for name, layout in LAYOUTS.items():
            yield f"VGG-16 {name} g={shared}", vgg, raiw.craft(layout(shared)), (3, 32, 32)
    resnet = build("resnet50-imagenet")
    for density in (0.5, 0.25):
        for shared in (1, 8):
            spec = half_of_resnet(density, shared)
            name = f"ResNet-50 {density:.0%} g={shared}"
            yield name, resnet, raiw.craft(spec), (3, 224, 224)
    for density in (0.1, 0.05, 0.01):
        for shared in (1, 8):
            network, masks = linear([(768, 3072)], density, shared)
            yield f"768×3072 {density:.0%} g={shared}", network, masks, (768,)
    for shared in (1, 8):
        network, masks = linear([(4096, 14336), (14336, 4096)], 0.1, shared)
        yield f"MLP 4096→14336→4096 10% g={shared}", network, masks, (4096,)


def compare(one: nn.Module, other: nn.Module, inputs: Any, seconds: float) -> tuple[float, float]:
    shortest = shortest_times([lambda: one(inputs), lambda: other(inputs)], seconds)
    return shortest[0], shortest[1]


def size(network: nn.Module) -> int:
    return len(save(network.state_dict()))


def costs() -> None:
    """Print the time of an edge, in those of a dense 3×3 convolution, by sharing."""
    torch.set_num_threads(1)
    for channels, side, batch in ((64, 32, 8), (256, 8, 1), (256, 8, 64), (512, 4, 64)):
        for shared in (1, 2, 4, 8):
            layer = {"name": "0", "kind": "conv2d", "in_channels": channels, "kernel_size": 3,
                     "out_channels": channels}  # fmt: skip
            craft = {"density": 0.25, "group_outputs": shared}
            masks = raiw.craft({"layers": [layer], "craft": craft})
            dense = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1))
            small = raiw.compact(dense, masks, forms=["condensed"])
            inputs = torch.randn(batch, channels, side, side)
            own, whole = compare(small, dense, inputs, 2)
            print(f"{channels} channels, {side}×{side}, batch {batch}, g={shared}: "
                  f"{own / whole / 0.25:.2f}", flush=True)  # fmt: skip


def verdicts(threads: int, number: int = 10) -> None:
    """Print what the chosen form takes over the best, measured again; for random layers."""
    torch.set_num_threads(threads)
    rng = np.random.default_rng(0)
    for _ in range(number):
        shared, density = int(rng.choice([1, 2, 8])), float(rng.choice([0.02, 0.1, 0.3, 0.6]))
        channels, batch = int(rng.choice([64, 128, 256, 512])), int(rng.choice([1, 8, 64]))
        if rng.random() < 0.5:
            module: nn.Module = nn.Linear(channels, channels)
            inputs = torch.randn(batch, channels)
        else:
            module = nn.Conv2d(channels, channels, 3, padding=1)
            inputs = torch.randn(batch, channels, 8, 8)
        kept = np.repeat(rng.random((channels // shared, channels)) < density, shared, axis=0)
        layer = MaskedLayer("0", module, Geometry.of(module), kept)
        chosen = measure(layer, layer.forms(), inputs).choice
        again = measure(layer, layer.forms(), inputs, 3).seconds
        ratio = again[chosen] / min(again.values())
        print(f"T{threads} {type(module).__name__} {channels}, batch {batch}, {density:.0%}, "
              f"g={shared}: {chosen}, {ratio:.2f} of the best", flush=True)  # fmt: skip


def predictions(seconds: float) -> None:
    """Print what layers and networks are predicted to take, over what is measured afterwards."""
    predictor = Predictor(load_table(machine(), 1) or calibrate(1))
    print(f"the table predicts its own layers to within {predictor.error:.0%} (median)")
    network = without_norms(build("vgg16-cifar10")).eval()
    for (name, layout), shared in itertools.product(LAYOUTS.items(), (1, 8)):
        spec = raiw.Spec.parse(layout(shared))
        masks = raiw.craft(spec)
        for batch in (1, 64):
            wanted = predictor.predict(spec.plan(), batch)
            found = measure_speed(network, masks, (3, 32, 32), batch, 1, seconds=seconds / 20)
            ratios = [
                predicted / found.layers[layer.name].seconds[form]
                for layer in wanted.layers
                for form, predicted in (("dense", layer.dense), ("condensed", layer.condensed))
                if predicted is not None
            ]
            off = np.median(np.abs(np.log(ratios)))
            said = wanted.to_json()["speedup"]
            print(f"{name} g={shared}, batch {batch:2}: layers off by {np.expm1(off):.0%} "
                  f"(median), network predicted {said:.2f}×, measured {found.speedup:.2f}×",
                  flush=True)  # fmt: skip


def memory() -> None:
    """Print bytes on disk, and the memory that a batch of one adds to a process."""
    network = without_norms(build("vgg16-cifar10")).eval()
    for (name, layout), shared in itertools.product(LAYOUTS.items(), (1, 8)):
        masks = raiw.craft(layout(shared))
        small = raiw.compact(network, masks, forms=["condensed"])
        whole, own = (peak(each) for each in (network, small))
        print(f"{name} g={shared}: on disk 1/{size(network) / size(small):.1f}, in memory at batch "
              f"1 {own / 1e6:.1f} of {whole / 1e6:.1f} MB", flush=True)  # fmt: skip


def peak(network: nn.Module) -> int:
    """Return the bytes of a network and of all that torch allocates at once for one input."""
    with torch.profiler.profile(profile_memory=True) as profile, torch.no_grad():
        network(torch.randn(1, 3, 32, 32))
    held = most = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most + state_bytes(network)


def onnx(seconds: float) -> None:
    """Print what whole VGG-16s take in other runtimes, from ONNX files dense and compact."""
    torch.set_num_threads(1)
    network = without_norms(build("vgg16-cifar10")).eval()
    for name, layout in LAYOUTS.items():
        masks = raiw.craft(layout(8))
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder) / "dense.onnx", Path(folder) / "small.onnx"]
            for file, forms in zip(files, (["dense"], STANDARD_FORMS), strict=True):
                export_onnx(network, masks, torch.randn(2, 3, 32, 32), file, forms=forms)
            sizes = [file.stat().st_size for file in files]
            for runtime, load in RUNTIMES.items():
                if importlib.util.find_spec(runtime) is None:
                    continue
                for batch in (1, 64):
                    inputs = np.random.default_rng(0).standard_normal(
                        (batch, 3, 32, 32), np.float32
                    )
                    runs = [load(file, inputs) for file in files]
                    dense, own = shortest_times(runs, seconds)
                    print(f"{name} g=8, {runtime} T1 batch {batch:2}: dense {1e3 * dense:8.3f} ms, "
                          f"compact {1e3 * own:8.3f} ms: {dense / own:5.2f}×  bytes 1/"
                          f"{sizes[0] / sizes[1]:.1f}  load {os.getloadavg()[0]:.1f}",
                          flush=True)  # fmt: skip


def in_onnxruntime(file: Path, inputs: np.ndarray) -> Callable[[], object]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options)
    fed = {session.get_inputs()[0].name: inputs}
    return lambda: session.run(None, fed)


def in_openvino(file: Path, inputs: np.ndarray) -> Callable[[], object]:
    import openvino

    hints = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    run = openvino.compile_model(file, "CPU", hints)
    return lambda: run(inputs)


RUNTIMES = {"onnxruntime": in_onnxruntime, "openvino": in_openvino}


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep so many processors busy, and let the first measurement meet them at work."""
    command = [sys.executable, "-c", "while True: pass"]
    running = [subprocess.Popen(command) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="for each row")
    parser.add_argument("--match", default="", help="rows whose name has this")
    parser.add_argument("--norms", action="store_true")
    parser.add_argument("--costs", action="store_true")
    parser.add_argument("--verdicts", action="store_true")
    parser.add_argument("--predictions", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--onnx", action="store_true")
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2], help="for networks")
    parser.add_argument("--busy", type=int, default=0, help="processes at work beside --verdicts")
    arguments = parser.parse_args()
    if arguments.costs:
        costs()
    elif arguments.verdicts:
        with busy(arguments.busy):
            for threads in (1, 2):
                verdicts(threads)
    elif arguments.predictions:
        predictions(arguments.seconds)
    elif arguments.memory:
        memory()
    elif arguments.onnx:
        onnx(arguments.seconds)
    else:
        networks(arguments)


def networks(arguments: argparse.Namespace) -> None:
    """Print what whole networks take, dense and compact."""
    for name, network, masks, shape in cases(arguments.norms):
        if arguments.match not in name:
            continue
        network.eval()
        for threads in arguments.threads:
            torch.set_num_threads(threads)
            for batch in (1, 8) if name.startswith("ResNet") else (1, 64):
                inputs = torch.randn(batch, *shape)
                small = raiw.compact(network, masks, inputs)
                dense, own = compare(network, small, inputs, arguments.seconds)
                forms = sorted(forms_of(small).values())
                chosen = ", ".join(f"{forms.count(form)} {form}" for form in dict.fromkeys(forms))
                print(f"{name:32} T{threads} batch {batch:2}: dense {1e3 * dense:8.3f} ms, compact "
                      f"{1e3 * own:8.3f} ms: {dense / own:5.2f}×  bytes 1/"
                      f"{size(network) / size(small):.1f}  load {os.getloadavg()[0]:.1f}  "
                      f"({chosen})", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
