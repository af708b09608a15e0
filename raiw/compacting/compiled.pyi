from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Pattern: TypeAlias = object
Floats: TypeAlias = npt.NDArray[np.float32]

def pattern(
    starts: npt.NDArray[np.int64], channels: npt.NDArray[np.int32], inputs: int, /
) -> Pattern: ...
def run(
    pattern: Pattern,
    weights: Floats,
    scales: Floats,
    biases: Floats,
    rectify: bool,
    pool: int,
    inputs: Floats,
    batch: int,
    geometry: npt.NDArray[np.int64],
    shared: int,
    threads: int,
    lanes: int,
    outputs: Floats,
    /,
) -> None: ...
