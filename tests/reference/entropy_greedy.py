"""Algorithm 1 as printed, but for its start: every candidate's whole spectrum, step by step."""

import numpy as np

from raiw.graphs import Bools


def entropy_greedy(shape: tuple[int, int], edges: int, *, largest: bool) -> Bools:
    out, n_in = shape
    kept = np.zeros(shape, bool)
    laplacian = np.zeros((out + n_in, out + n_in))
    for placed in range(1, edges + 1):
        outs, ins = np.nonzero(~kept)
        candidates = np.repeat(laplacian[None], len(outs), axis=0)
        each = np.arange(len(outs))
        candidates[each, outs, outs] += 1
        candidates[each, out + ins, out + ins] += 1
        candidates[each, outs, out + ins] -= 1
        candidates[each, out + ins, outs] -= 1
        weights = np.maximum(np.linalg.eigvalsh(candidates), 0) / (2 * placed)
        entropy = -np.sum(weights * np.log(np.where(weights > 0, weights, 1)), axis=1)
        value = entropy if largest else -entropy
        best = int(np.argmax(value >= value.max() - 1e-9))
        kept[outs[best], ins[best]] = True
        laplacian = candidates[best]
    return kept
