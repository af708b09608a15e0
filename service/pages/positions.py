"""Where in a text the fault of a document is: from a JSON pointer to a line."""

import yaml


def line_of(text: str, pointer: str) -> int | None:
    r"""Return the line, from 1, of what a JSON pointer names, or of the nearest part that exists.

    >>> line_of("name: x\nlayers:\n- name: fc\n  kind: odd\n", "/layers/0/kind")
    4

    Returns None for a text that is no YAML, and JSON is YAML.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
    if node is None:
        return None
    line = node.start_mark.line
    for part in filter(None, pointer.split("/")):
        found = _child(node, part.replace("~1", "/").replace("~0", "~"))
        if found is None:
            break
        line, node = found
    return int(line) + 1


def _child(node: yaml.Node, part: str) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == part:
                return key.start_mark.line, value
    if isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
        child = node.value[int(part)]
        return child.start_mark.line, child
    return None
