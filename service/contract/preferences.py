"""What a client would rather have: headers that weigh names, as Accept does."""


def weights(header: str) -> dict[str, float]:
    """Return every name in lower case with its weight from 0, never, to 1.

    >>> weights("text/html, */*;q=0.5, gzip;q=no")
    {'text/html': 1.0, '*/*': 0.5, 'gzip': 0.0}
    """
    found: dict[str, float] = {}
    for part in header.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        said = [text[2:] for text in parameters if text.startswith("q=")]
        try:
            found[name] = float(said[0] if said else 1)
        except ValueError:
            found[name] = 0.0
    return found


def takes(header: str, name: str) -> bool:
    """Whether a client names what it takes, not only as one of any.

    >>> takes("text/html, */*;q=0.5", "text/html"), takes("text/html;q=0", "text/html")
    (True, False)
    """
    return weights(header).get(name, 0.0) > 0
