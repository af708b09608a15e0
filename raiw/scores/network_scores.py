"""Importance scores that are all in memory."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from raiw.files import write_atomically
from raiw.tensors import to_metadata


class NetworkScores(Mapping[str, npt.NDArray[np.float32]]):
    """Scores by layer name, ``(out, in/groups)``, and how they were computed."""

    def __init__(
        self, arrays: Mapping[str, npt.NDArray[np.float32]], provenance: dict[str, Any]
    ) -> None:
        self._arrays = dict(arrays)
        self.provenance = provenance
        """Method, revision and options: what a mask file records."""

    def __getitem__(self, name: str) -> npt.NDArray[np.float32]:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    @property
    def uninformative(self) -> list[str]:
        """The layers whose scores are all equal: any choice among their edges is equally good."""
        return [
            name for name, array in self.items() if array.size > 1 and array.min() == array.max()
        ]

    def save(self, path: str | Path) -> None:
        """Write the importance file that :func:`raiw.craft` and ``raiw craft -i`` take."""
        write_atomically(path, [save(self._arrays, to_metadata(self.provenance))])
