"""What it costs to start: processor time as a ratio to ``python -c pass``, taken in turns.

``python -m tests.bench.startup [--rounds N]``
"""

import argparse
import resource
import subprocess
import sys

STARTS = {
    "python -c pass": ("-c", "pass"),
    "import raiw": ("-c", "import raiw"),
    "raiw --help": ("-m", "raiw", "--help"),
    "raiw plan raiw/vgg16-d16": ("-m", "raiw", "plan", "raiw/vgg16-d16"),
}


def processor_seconds(arguments: tuple[str, ...]) -> float:
    """Run a Python process and return the processor time it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the least time of each start over all rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    least = dict.fromkeys(STARTS, float("inf"))
    for _ in range(rounds):
        for name, arguments in STARTS.items():
            least[name] = min(least[name], processor_seconds(arguments))
    for name, seconds in least.items():
        print(f"{name:26} {seconds:.3f} s  {seconds / least['python -c pass']:5.1f}x")


if __name__ == "__main__":
    main()
