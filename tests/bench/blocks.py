"""What blocks of edges cost in score: ``python -m tests.bench.blocks``.

For each family of random scores, what a mask with a tenth of 2048 × 2048 edges keeps in blocks of
several sizes, as a share of what one of single edges keeps; the floor is a mask without scores.
"""

import raiw
from tests.bench.craft import make_scores

SIDE = 2048
DENSITY = 0.1
BLOCKS = ((8, 1), (1, 8), (4, 4), (8, 8), (16, 16))


def kept(scores: object, outputs: int, inputs: int) -> float:
    """Return the score that a mask of such blocks keeps."""
    layer = {"name": "a", "kind": "linear", "in_features": SIDE, "out_features": SIDE}
    craft = {"density": DENSITY, "group_outputs": outputs, "group_inputs": inputs}
    return raiw.craft({"layers": [layer], "craft": craft}, {"a": scores})["a"].kept_score or 0.0


def main() -> None:
    for family in ("normal", "heavy"):
        scores = make_scores(family, SIDE, SIDE)
        single = kept(scores, 1, 1)
        for outputs, inputs in BLOCKS:
            print(
                f"{family:8} {outputs:2} × {inputs:2} {kept(scores, outputs, inputs) / single:.0%}"
            )
        print(f"{family:8} floor   {DENSITY * scores.sum(dtype=float) / single:.0%}")


if __name__ == "__main__":
    main()
