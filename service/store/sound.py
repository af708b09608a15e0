"""What this process has read and found sound."""

from collections.abc import Hashable

_MOST = 100_000


class Sound:
    """States of stored files found sound, by what distinguishes them: no state is read twice."""

    def __init__(self) -> None:
        self._states: set[Hashable] = set()

    def __contains__(self, state: Hashable) -> bool:
        return state in self._states

    def add(self, state: Hashable) -> None:
        """Remember a state; when there are very many, all are forgotten and read again."""
        if len(self._states) >= _MOST:
            self._states.clear()
        self._states.add(state)
