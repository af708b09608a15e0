"""The forms that masks can be written in; :mod:`raiw.masks.export` has what writes them."""

from dataclasses import dataclass

_BYTES = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Form:
    """What is known of a form without writing it."""

    name: str
    suffix: str
    """How names of such files end."""
    media_type: str
    sized: bool = False
    """Whether sizes follow from the shapes, and a part's bytes are made when it is read."""
    text: bool = False
    """Whether people can read it."""

    @property
    def writer(self) -> str:
        """Name of the function that writes it."""
        return f"as_{self.name.replace('-', '_')}"


FORMS: dict[str, Form] = {
    form.name: form
    for form in (
        Form("bool", "bool.safetensors", _BYTES, sized=True),
        Form("torch-prune", "torch-prune.safetensors", _BYTES, sized=True),
        Form("npz", "npz", "application/zip"),
        Form("csr", "csr.npz", "application/zip"),
        Form("parquet", "parquet", "application/vnd.apache.parquet"),
        Form("json", "json", "application/json", text=True),
        Form("graphml", "graphml", "application/graphml+xml", text=True),
    )
}
"""Every form by the name users give it."""
