"""What ``--data`` names: a data set on the machine that does the work, or a file on this one."""

from pathlib import Path

from raiw.errors import NotFound

_SUFFIXES = (".safetensors", ".npz")


def data_file(data: str) -> Path | None:
    """Return the path of a data set that is given as a file; None for a name.

    Raises
    ------
    NotFound
        There is no such file.
    """
    if not data.endswith(_SUFFIXES):
        return None
    if not Path(data).is_file():
        raise NotFound(f"no file {data!r}")
    return Path(data)
