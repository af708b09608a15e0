"""What every algorithm returns."""

from dataclasses import dataclass

from raiw.graphs import Graph


@dataclass(frozen=True, slots=True)
class Built:
    """What an algorithm returns for one bipartite graph."""

    graph: Graph
    completed: int = 0
    """Edges that the greedy pass could not place and the completion did."""
