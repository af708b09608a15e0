"""Two parameters in one memory, of which a mask can be held on neither."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import nn

from raiw.errors import InvalidInput


class _Span(NamedTuple):
    """The memory of a parameter, in bytes."""

    start: int
    end: int
    name: str
    parameter: nn.Parameter


def refuse_shared_memory(model: nn.Module, masked: Iterable[nn.Parameter]) -> None:
    """Refuse masks on a parameter whose memory another parameter has too.

    A tie is one parameter under two names, and is no such case. Nor are parts of one buffer beside
    each other, as of a flattened module.

    Raises
    ------
    InvalidInput
        With the names of both parameters.
    """
    wanted = {id(parameter) for parameter in masked}
    before: _Span | None = None
    for span in sorted(_spans(model), key=lambda span: (span.start, span.end)):
        if before is not None and span.start < before.end:
            if wanted & {id(before.parameter), id(span.parameter)}:
                raise InvalidInput(
                    f"{before.name!r} and {span.name!r} are two parameters in one memory, so a "
                    f"mask on one would change the other: make them one parameter, or give one of "
                    f"them a copy",
                    parameters=[before.name, span.name],
                )
            if span.end <= before.end:
                continue
        before = span


def _spans(model: nn.Module) -> Iterator[_Span]:
    """Yield the memory of every parameter that fills its own without holes."""
    for name, parameter in model.named_parameters():
        if type(parameter.data) is not torch.Tensor or parameter.is_meta:
            continue  # a shard, or one without values
        steps = zip(parameter.shape, parameter.stride(), strict=True)
        extent = 1 + sum((size - 1) * stride for size, stride in steps)
        if extent == parameter.numel() > 0:
            start = parameter.data_ptr()
            yield _Span(start, start + extent * parameter.element_size(), name, parameter)
