"""Entropic sparsification: what a VGG-16 of the printed size costs on this machine.

Which filters the paper's network has left is not printed. Each layer is narrowed alike here, to the
memory that is printed.
"""

from raiw import extras
from raiw.errors import MissingExtra
from raiw.reproduction.rows import Row, uncompared

NETWORK = "vgg16-cifar10"
REMOVED = 0.67
"""Share of the filters of each layer, which leaves 6.5 MB."""

_WHY = "each layer is narrowed alike, and the weights are random: the paper does not print which"


def narrow_vgg() -> list[Row]:
    """Return bytes, operations and time of the narrow network, beside those of the whole one."""
    try:
        torch = extras.load("torch")
    except MissingExtra as error:
        return [uncompared("VGG-16 without two thirds of its filters", "", "", error.message)]
    from raiw.compacting.cost import costs
    from raiw.nets.registry import build
    from raiw.pruning.prune import prune

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        whole = build(NETWORK).eval()
        inputs = {batch: torch.randn(batch, 3, 32, 32) for batch in (1, 64)}
    narrow = prune(whole, inputs[1], "l1_filter", channel_sparsity=REMOVED).smaller
    rows: list[Row] = []
    for batch, images in inputs.items():
        after, before = costs([narrow, whole], images)
        if not rows:
            sizes = f"{after.bytes / 1e6:.1f} of {before.bytes / 1e6:.1f} MB"
            left = f"{after.flops / before.flops:.1%}"
            rows += [
                uncompared("VGG-16 without two thirds of its filters, bytes", "6.5MB", sizes, _WHY),
                uncompared("share of the operations left", "half", left, _WHY),
            ]
        gone = 1 - after.seconds / before.seconds
        times = f"{1e3 * after.seconds:.1f} of {1e3 * before.seconds:.1f} ms"
        rows.append(
            uncompared(
                f"share of the run time that goes, batch {batch}",
                "40%",
                f"{gone:.0%}: {times}, threads {torch.get_num_threads()}",
                _WHY,
            )
        )
    return rows
