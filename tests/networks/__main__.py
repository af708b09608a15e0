"""``python -m tests.networks [--only GLOB] [--notes]``: the matrix of all networks and steps."""

import argparse
import importlib.util
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase

from tests.networks import of_diffusers, of_timm, of_torch, of_transformers
from tests.networks.network import Network
from tests.networks.trial import STEPS, Outcome, Trial

SOURCES = (of_torch, of_transformers, of_diffusers, of_timm)


def all_networks() -> Iterator[Network]:
    for source in SOURCES:
        yield from source.networks()


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.networks", description=__doc__)
    options.add_argument("--only", default="*", help="glob over package/name, such as timm/*")
    options.add_argument("--notes", action="store_true", help="tell what was left out or refused")
    given = options.parse_args()
    chosen = [n for n in all_networks() if fnmatchcase(f"{n.package}/{n.name}", given.only)]
    missing = [n for n in chosen if importlib.util.find_spec(n.package) is None]
    heads = " ".join(f"{step[:6]:>6}" for step in STEPS)
    print(f"{'network':34} {'layers':>6} {'cover':>6} {heads} {'s':>6}", flush=True)
    outcomes = []
    for network in chosen:
        if network in missing:
            continue
        outcome = Trial(network).run()
        outcomes.append(outcome)
        tell(outcome, notes=given.notes)
    for network in missing:
        print(f"{network.package}/{network.name}: skipped, {network.package} is not installed")
    failed = [outcome.network.name for outcome in outcomes if outcome.failed]
    print(f"{len(outcomes)} networks, {len(failed)} failed: {', '.join(failed) or 'none'}")
    return bool(failed)


def tell(outcome: Outcome, *, notes: bool) -> None:
    name = f"{outcome.network.package}/{outcome.network.name}"
    told = " ".join(f"{outcome.steps[step]:>6}" for step in STEPS)
    print(
        f"{name:34} {outcome.layers:>6} {outcome.covered:>6.1%} {told} {outcome.seconds:>6.1f}",
        flush=True,
    )
    for note in outcome.notes if notes or outcome.failed else ():
        print(f"    {note}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
