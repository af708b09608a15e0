"""What ``--data`` names: a data set of the machine that does the work, or a file of this one."""

from pathlib import Path
from typing import TYPE_CHECKING

from raiw.errors import NotFound

if TYPE_CHECKING:
    from raiw.training.data.dataset import Dataset

_SUFFIXES = (".safetensors", ".npz")


def local_data(data: str, folder: Path) -> "Dataset":
    """Open a data set of this machine."""
    from raiw.training.data.registry import open_dataset

    file = _file(data)
    return open_dataset(data, folder) if file is None else open_dataset(file.stem, file.parent)


def remote_data(data: str) -> str | Path:
    """Return a data set as a client takes it: a name, or the path of a file to upload."""
    return _file(data) or data


def _file(data: str) -> Path | None:
    if not data.endswith(_SUFFIXES):
        return None
    if not Path(data).is_file():
        raise NotFound(f"no file {data!r}")
    return Path(data)
