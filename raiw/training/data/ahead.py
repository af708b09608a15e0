"""Preparing batches while the GPU works on those before."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")

_END = object()


def ahead(items: Iterator[Item], depth: int) -> Iterator[Item]:
    """Yield ``items`` in their order, ``depth`` of them prepared by a thread beforehand.

    What the iterator raises is raised here, in its turn.

    >>> list(ahead(iter("abc"), 2))
    ['a', 'b', 'c']
    """
    with ThreadPoolExecutor(1) as pool:
        waiting = deque(pool.submit(next, items, _END) for _ in range(depth))
        while (item := waiting.popleft().result()) is not _END:
            waiting.append(pool.submit(next, items, _END))
            yield item  # type: ignore[misc]  # everything but the end is an item
