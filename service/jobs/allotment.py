"""How many messages of a queue the broker may hold: what bounds the harm of a flood.

Messages at the broker are fetched in the order in which they came, whoever comes next. So it gets
only as many as workers are at work: each finds its next job there, and whoever has nothing under
way waits for two jobs of others on every worker at most, the one that runs and the one that waits.
"""

FEWEST = 1
MOST = 100


class Allotment:
    """The number for one queue, found anew whenever the janitor looks.

    Jobs that end sooner than the janitor looks again would leave workers without a message. So a
    window that was filled at the last look and is empty is doubled; what is still there was not
    needed.
    """

    def __init__(self) -> None:
        self._size = FEWEST
        self._room = 0
        self._filled = False

    def room(self, held: int, busy: int) -> int:
        """Return how many messages to publish, 0 as long as most of the last ones are there.

        Parameters
        ----------
        held
            Messages that no worker has fetched.
        busy
            Workers that are at work.
        """
        needed = self._size - held if held else 2 * self._size if self._filled else 0
        self._size = min(max(needed, busy, FEWEST), MOST)
        self._filled, room = False, self._size - held
        self._room = room if 2 * room >= self._size else 0
        return self._room

    def sent(self, messages: int) -> None:
        """Note how many messages were published of those there was room for."""
        self._filled = 0 < self._room == messages
