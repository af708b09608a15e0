"""Which layers a glob names, for many globs and many layers at once."""

import fnmatch
import itertools
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence

from raiw.errors import TooLarge

MAX_COMPARISONS = 1 << 24
"""Most comparisons of the globs of one spec: those of 1,600 globs ``*`` with 10,000 short names."""

_WILD = re.compile(r"\[!?\]?[^\]]*\]|[*?\[]")
_SCANNED_FOR_ONE = 256
"""Characters that are searched in the time of one comparison."""
_SHORT = 32
"""Characters of a name that one step of a comparison passes."""
_TELLING = 2
"""Characters of the shortest part that is worth a search: one, or the end of a name, is in all."""


class LayerNames:
    """The names of a network's layers, in which globs find theirs.

    A glob without wildcards is looked up. Another is compared with those names only that hold its
    longest literal part; these are found by one search through all names, where the ends of a name
    count as characters.

    >>> names = LayerNames(["features.0", "features.1", "classifier"])
    >>> names.matching("features.*"), names.matching("*r"), names.matching("features.1")
    ([0, 1], [2], [1])
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._index = {name: index for index, name in enumerate(names)}
        self._text = "\n" + "".join(f"{name}\n" for name in names)
        lengths = (len(name) + 1 for name in names)
        self._starts = list(itertools.accumulate(lengths, initial=0))
        self._comparisons = 0

    def matching(self, glob: str) -> list[int]:
        """Return the indices of the names that match, ascending; case counts.

        Raises
        ------
        TooLarge
            The globs asked for so far need more than :data:`MAX_COMPARISONS`.
        """
        if not _WILD.search(glob):
            index = self._index.get(glob)
            return [] if index is None else [index]
        matches = re.compile(fnmatch.translate(glob)).match
        part = max(_WILD.split(f"\n{glob}\n"), key=len)
        every = len(part) < _TELLING
        candidates = range(len(self._names)) if every else list(self._holding(part))
        length = len(self._text) // len(self._names)
        steps = (1 + len(_WILD.findall(glob)) // 2) * (1 + length // _SHORT)
        self._count(len(candidates) * steps + len(self._text) // _SCANNED_FOR_ONE)
        return [index for index in candidates if matches(self._names[index])]

    def _count(self, comparisons: int) -> None:
        self._comparisons += comparisons
        if self._comparisons > MAX_COMPARISONS:
            raise TooLarge(
                f"the globs of the rules need more than {MAX_COMPARISONS} comparisons with layer "
                f"names: use fewer wildcards, or write names out",
                pointer="/craft/rules",
                limit=MAX_COMPARISONS,
            )

    def _holding(self, part: str) -> Iterable[int]:
        at = self._text.find(part)
        while 0 <= at < self._starts[-1]:
            index = bisect_right(self._starts, at) - 1
            yield index
            at = self._text.find(part, self._starts[index + 1])
