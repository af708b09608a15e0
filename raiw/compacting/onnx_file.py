"""Compact networks as ONNX files of standard operators."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from raiw import extras
from raiw.compacting.compact import compact
from raiw.compacting.layers import STANDARD_FORMS
from raiw.errors import InvalidInput
from raiw.masks import MaskSet

_OPSET = 18


def export_onnx(
    model: nn.Module,
    masks: MaskSet | str | Path,
    inputs: Tensor | tuple[Any, ...],
    path: str | Path,
    *,
    forms: Sequence[str] | Mapping[str, str] = STANDARD_FORMS,
) -> nn.Module:
    """Write a masked network to an ONNX file, its layers made of ordinary operators.

    These are a gather and a grouped convolution or batched product where at least eight outputs
    share their inputs, smaller dense layers, and dense ones; so any runtime can load the file. The
    batch size is left open.

    Parameters
    ----------
    inputs
        An example batch of at least two; the network is traced with it.
    forms
        As for :func:`raiw.compact`, without ``condensed`` and ``csr``.

    Returns
    -------
    nn.Module
        The compact network that was written.

    Raises
    ------
    InvalidInput
        As in :func:`raiw.compact`, or a form is no ordinary operator.
    MissingExtra
        onnxscript is not installed.
    """
    for form in forms.values() if isinstance(forms, Mapping) else forms:
        if form not in STANDARD_FORMS:
            raise InvalidInput(
                f"ONNX has no operator for the form {form!r}: use {', '.join(STANDARD_FORMS)}"
            )
    extras.load("onnxscript")
    small = compact(model, masks, forms=forms).eval()
    arguments = inputs if isinstance(inputs, tuple) else (inputs,)
    batches = tuple({0: torch.export.Dim("batch")} for _ in arguments)
    with _quiet_exporter():
        torch.onnx.export(
            small,
            arguments,
            path,
            dynamo=True,
            opset_version=_OPSET,
            dynamic_shapes=batches,
            external_data=False,
            verbose=False,
        )
    return small


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Hide the exporter's messages about itself."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
