"""The files that stand for masks wherever they are published: the masks, their spec, a card."""

from collections.abc import Iterable
from pathlib import Path

import yaml

from raiw.files import write_atomically
from raiw.masks.maskset import MaskSet
from raiw.reports.markdown import as_markdown
from raiw.reports.report import MaskReport

MASKS, SPEC, CARD = "masks.safetensors", "spec.yaml", "README.md"

_USE = f"""
The pruned positions of a network. Apply them in PyTorch:

```python
import raiw

raiw.apply(model, "{MASKS}")
```

"""


def files(masks: MaskSet) -> dict[str, Iterable[bytes | memoryview]]:
    """Return the content of every file by its name; the same masks give the same bytes."""
    return {
        MASKS: masks.chunks(),
        SPEC: [masks.spec.to_yaml().encode()],
        CARD: [card(masks).encode()],
    }


def write_files(masks: MaskSet, folder: Path) -> list[Path]:
    """Write the files into a folder, which is made if need be, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = files(masks)
    for name, chunks in contents.items():
        write_atomically(folder / name, chunks)
    return [folder / name for name in contents]


def card(masks: MaskSet) -> str:
    """Return a model card as the Hugging Face Hub reads it: YAML between dashes, then Markdown."""
    head = {"library_name": "raiw", "tags": ["sparsity", "pruning", "masks", masks.algorithm]}
    scores = "" if masks.importance is None else f" -i FILE` with the scores {masks.importance}"
    again = f"`raiw craft {SPEC}{scores or '`'} crafts the same bits again."
    body = as_markdown(MaskReport(masks))
    return f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n{_USE}{again}\n\n{body}"


def parameters(masks: MaskSet) -> dict[str, str]:
    """Return what the masks were crafted from, as trackers keep the parameters of a run."""
    return {name: value for name, value in MaskReport(masks).facts.items() if name != "weights"}


def metrics(masks: MaskSet) -> dict[str, float]:
    """Return the numbers of the masks by which trackers compare runs."""
    return {
        "density": masks.density,
        "weights": float(masks.weights),
        "dense_weights": float(masks.dense_weights),
        "edges": float(masks.edges),
    }
