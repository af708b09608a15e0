"""Whether hostile calls can make a kernel hang, crash, or touch what is not its own.

``python -m tests.fuzz.kernels --sanitize --cases 1000000`` compiles the kernels with the sanitizers
for addresses and undefined behaviour, and runs a million cases of :mod:`tests.fuzz.kernel_cases`
and :mod:`tests.fuzz.layer_cases`; ``--only run`` keeps to those of one kernel.
A kernel may refuse its arguments with a ValueError or TypeError; anything else is a fault: another
error, the end of the process, or more than ``--limit`` seconds of its own time. The case is named,
and how to run it again. Without ``--sanitize`` the installed kernels run.
"""

import argparse
import faulthandler
import importlib.machinery
import importlib.util
import json
import os
import shlex
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np

from tests.fuzz.kernel_cases import KERNELS, Args, Case, spoil
from tests.fuzz.layer_cases import LAYERS, Fans, check_outputs

MODULES = {"raiw.kernels.compiled": KERNELS, "raiw.compacting.compiled": LAYERS}
CASES = KERNELS | LAYERS
ROOT = Path(__file__).parents[2]
SANITIZERS = ["-O2", "-g1", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all",
              "-fsanitize=address,undefined,float-cast-overflow"]  # fmt: skip
ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


def compiler() -> list[str]:
    return shlex.split(os.environ.get("CXX", "c++"))


def runtime(name: str) -> str:
    """Where the compiler keeps a library that has to be loaded before Python."""
    asked = [*compiler(), f"-print-file-name={name}"]
    path = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    if not Path(path).is_absolute():
        sys.exit(f"{shlex.join(compiler())} has no {name}: install it, or name another CXX")
    return path


def compile_sanitized(folder: Path) -> dict[str, str]:
    """Compile the kernels as pyproject.toml says, and with the sanitizers.

    Returns the environment they need: the runtime throws the exceptions of the kernels through the
    library that it finds at its start.
    """
    needed = {"LD_PRELOAD": f"{runtime('libasan.so')} {runtime('libstdc++.so')}"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    for module in project["tool"]["setuptools"]["ext-modules"]:
        subprocess.run(
            [*compiler(), "-shared", "-fPIC", *module["extra-compile-args"], *SANITIZERS,
             *shlex.split(os.environ.get("CFLAGS", "")), f"-I{sysconfig.get_path('include')}",
             *module["sources"], *module.get("extra-link-args", []),
             "-o", str(folder / module["name"])],
            check=True, cwd=ROOT,
        )  # fmt: skip
    return needed


def load(folder: Path | None) -> dict[str, Callable[..., object]]:
    """Return every kernel: of the modules compiled in a folder, or of those installed."""
    return {
        kernel: getattr(module, kernel)
        for name, kernels in MODULES.items()
        for module in [importlib.import_module(name) if folder is None else built(folder / name)]
        for kernel in kernels
    }


def built(path: Path) -> ModuleType:
    loader = importlib.machinery.ExtensionFileLoader("compiled", str(path))
    spec = importlib.util.spec_from_file_location("compiled", path, loader=loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def make(seed: int, index: int, only: str | None = None) -> tuple[str, Args]:
    """Return the kernel of a case and what it is called with."""
    case = Case(seed, index)
    name = only or case.one(*CASES)
    args = CASES[name](case)
    if case.chance(0.3):
        spoil(case, args)
    return name, args


GRAPHS = {"greedy": 1, "complete": 1, "regular": 0, "uniform": 0}
"""Which argument is the graph that a kernel gives so many edges; they are always the third."""


def kept(name: str, args: Args) -> int:
    place = GRAPHS.get(name, len(args))
    bits = args[place] if place < len(args) else None
    counted = isinstance(bits, np.ndarray) and bits.dtype == np.uint8
    return int(np.bitwise_count(bits).sum()) if counted else 0


def check(name: str, args: Args, answer: object, before: int) -> None:
    """Require as many edges as were asked for, and a layer's outputs, whatever the scores hold."""
    after = kept(name, args)
    if name == "run":
        check_outputs(args)
    elif name in {"regular", "uniform"}:
        assert after == args[2]
    elif name == "greedy":
        assert after <= args[2]
    elif name == "complete":
        assert after - before == answer
        assert after <= max(before, args[2])


def run_cases(arguments: argparse.Namespace) -> None:
    """Run every ``step``-th case in this process and print what came of them."""
    kernels = load(arguments.folder)
    faulthandler.register(signal.SIGVTALRM, chain=True)
    outcomes: Counter[str] = Counter()
    with arguments.progress.open("r+b", buffering=0) as progress:
        for index in range(arguments.first, arguments.first + arguments.cases, arguments.step):
            os.pwrite(progress.fileno(), f"{index:20}".encode(), 0)
            name, args = make(arguments.seed, index, arguments.only)
            before = kept(name, args)
            signal.setitimer(signal.ITIMER_VIRTUAL, arguments.limit)
            try:
                # A pattern is the compiled module's own, so it is made there.
                own = [kernels["pattern"](*arg) if isinstance(arg, Fans) else arg for arg in args]
                answer = kernels[name](*own)
            except (TypeError, ValueError):
                outcomes[f"{name} refused"] += 1
            else:
                check(name, args, answer, before)
                outcomes[f"{name} ran"] += 1
    print(json.dumps(outcomes))


def start(
    arguments: argparse.Namespace, job: int, folder: Path, environment: dict[str, str]
) -> subprocess.Popen[str]:
    progress = folder / f"job-{job}"
    progress.write_bytes(b"")
    command = [sys.executable, "-m", "tests.fuzz.kernels", "--progress", str(progress),
               "--seed", str(arguments.seed), "--first", str(arguments.first + job),
               "--cases", str(arguments.cases - job), "--step", str(arguments.jobs),
               "--limit", str(arguments.limit)]  # fmt: skip
    if arguments.sanitize:
        command += ["--folder", str(folder)]
    if arguments.only:
        command += ["--only", arguments.only]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


def run(arguments: argparse.Namespace, folder: Path) -> int:
    """Run all cases in some processes; return how many of these met a fault."""
    environment = os.environ | ENVIRONMENT
    if arguments.sanitize:
        environment |= compile_sanitized(folder)
    outcomes: Counter[str] = Counter()
    faults = 0
    jobs = [start(arguments, job, folder, environment) for job in range(arguments.jobs)]
    for job, process in enumerate(jobs):
        said, _ = process.communicate()
        if process.returncode == 0:
            outcomes.update(json.loads(said))
            continue
        faults += 1
        case = (folder / f"job-{job}").read_text().strip() or "none"
        end = process.returncode
        how = signal.Signals(-end).name if end < 0 else f"exit status {end}"
        print(f"FAULT ({how}): again with --seed {arguments.seed} --first {case} --cases 1"
              f"{f' --only {arguments.only}' if arguments.only else ''}"
              f"{' --sanitize' * arguments.sanitize}")  # fmt: skip
    for kernel in [arguments.only] if arguments.only else CASES:
        ran, refused = outcomes[f"{kernel} ran"], outcomes[f"{kernel} refused"]
        print(f"{kernel:>14} {ran:9,} ran {refused:9,} refused")
    return faults


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--limit", type=float, default=10.0, help="seconds of a case")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--only", choices=CASES, help="kernel that all cases call")
    parser.add_argument("--sanitize", action="store_true")
    for option, kind in (("--folder", Path), ("--progress", Path), ("--step", int)):
        parser.add_argument(option, type=kind, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.progress:
        return run_cases(arguments)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        arguments.jobs = min(arguments.jobs, arguments.cases)
        faults = run(arguments, Path(folder))
    kind = "sanitized" if arguments.sanitize else "installed"
    print(f"{arguments.cases:,} cases of seed {arguments.seed} on the {kind} kernels: {faults} "
          f"faults, {time.monotonic() - begun:.0f} s")  # fmt: skip
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()
