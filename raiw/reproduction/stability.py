"""Table 3 of RAIW: what its ten printed accuracies say."""

import math
import statistics

from raiw.reproduction.rows import Row, compared, needs_training

_REGULAR = (92.69, 92.66, 92.97, 92.70, 93.06)
_RAIW = (92.97, 92.77, 93.00, 92.82, 92.69)


def table3() -> list[Row]:
    """Return means and deviations of the printed runs, and whether they differ."""
    rows = [
        compared(f"{label}, mean ± deviation over 5 runs", printed, _summary(runs))
        for label, printed, runs in (
            ("Regular", "92.82 ± 0.17", _REGULAR),
            ("RAIW", "92.85 ± 0.12", _RAIW),
        )
    ]
    spread = math.sqrt((statistics.variance(_REGULAR) + statistics.variance(_RAIW)) / 5)
    welch = (statistics.mean(_RAIW) - statistics.mean(_REGULAR)) / spread
    why = "the difference of the means is a third of its standard error: five runs show none"
    rows.append(Row("RAIW above Regular, Welch's t", "higher", f"t = {welch:.2f}", "mismatch", why))
    rows.append(
        compared(
            "RAIW's best run, as d-16 of Table 4 has it",
            "93.06%",
            f"{max(_RAIW):.2f}%",
            f"93.06 is the best run of Regular, {max(_REGULAR):.2f}, not one of RAIW's",
        )
    )
    runs = [("Regular", _REGULAR), ("RAIW", _RAIW)]
    return rows + [
        needs_training(f"{label}, accuracy of run {place}", f"{run:.2f}%")
        for label, accuracies in runs
        for place, run in enumerate(accuracies, 1)
    ]


def _summary(runs: tuple[float, ...]) -> str:
    return f"{statistics.mean(runs):.2f} ± {statistics.pstdev(runs):.2f}"
