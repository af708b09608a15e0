"""Examples under a command's ``--help``; a test runs every one of them."""


def examples(*lines: str) -> str:
    r"""Return an epilog that keeps its line breaks.

    >>> examples("raiw key raiw/vgg16-d16")
    '\x08\nExamples:\n  raiw key raiw/vgg16-d16'
    """
    return "\n  ".join(("\b\nExamples:", *lines))
