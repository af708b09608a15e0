"""How many messages of a queue the broker may hold: what bounds the harm of a flood.

Messages at the broker are fetched in the order in which they came, whoever comes next. So it gets
one for each process of the workers: each finds its next job there, and whoever has nothing under
way waits for two jobs of others on every process at most, the one that runs and the one that waits.
The number must not depend on how quickly messages are fetched: on a busy machine that only says
how seldom the janitor looks.
"""

FEWEST = 1
MOST = 100


def room(held: int, busy: int, processes: int) -> int:
    """Return how many messages to publish, 0 as long as most of the last ones are there.

    Parameters
    ----------
    held
        Messages that no worker has fetched.
    busy
        Processes that are at work.
    processes
        Processes of the workers that have said how many they have.
    """
    size = min(max(busy, processes, FEWEST), MOST)
    free = size - held
    return free if 2 * free >= size else 0
