"""Several drawings on one sheet."""

from collections.abc import Iterable, Sequence

from raiw.pictures.drawing import Drawing, Moved, Shape

BETWEEN = 20


def panels(rows: Iterable[Sequence[Drawing]], *, title: str, width: float = 0) -> Drawing:
    """Return rows of drawings, below and beside each other; it says what each of them does.

    ``width`` is the least.
    """
    shapes: list[Shape] = []
    says: list[str] = []
    top = widest = 0.0
    for row in rows:
        left = 0.0
        for each in row:
            shapes.append(Moved(x=left, y=top, drawing=each))
            says.append(f"{each.title}: {each.description}")
            left += each.width + BETWEEN
        widest = max(widest, left - BETWEEN)
        top += max(each.height for each in row) + BETWEEN
    return Drawing(
        width=max(width, widest),
        height=top,
        title=title,
        description=" ".join(says),
        shapes=tuple(shapes),
    )
