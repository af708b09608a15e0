"""One graph over all layers of a network."""

from safetensors.numpy import save

from raiw.crafting.network import craft_network
from raiw.files import write_atomically
from raiw.jobs.graph import GraphJob
from raiw.jobs.workspace import Made, Workspace
from raiw.statistics import measure


def run(job: GraphJob, space: Workspace) -> Made:
    """Craft the graph; write the ``(out, in)`` booleans of each pair of layers, by its number.

    Raises
    ------
    TooLarge
        It would take hours.
    """
    made = craft_network(job.widths, job.edges, job.method, job.seed)
    layers = made.layers()
    path = space.output("graph")
    tensors = {str(number): layer.to_bool() for number, layer in enumerate(layers)}
    write_atomically(path, [save(tensors)])
    report = {
        "layers": [{"shape": list(layer.shape), "edges": layer.edges} for layer in layers],
        "statistics": measure(made.folded).to_json(),
    }
    return Made({"graph": path}, report)
