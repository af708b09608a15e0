"""A table: lines that fit a terminal without cutting anything, or tab-separated values."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import NamedTuple

from rich.cells import cell_len

from raiw.cli.terminal import encodable

_GAP = "  "
_INDENT = "    "
_LEAST_PROSE = 24
"""Columns below which prose goes to lines of its own."""


class Shown(NamedTuple):
    """A value in another form for people than for programs."""

    text: str
    value: str | int | float | None


Cell = str | int | Shown | None
"""Whole numbers get their thousands separated for people; floats are given as :class:`Shown`."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    title: str
    right: bool = False
    """Whether its cells end at its right edge, as numbers do."""
    spare: int = 0
    """Where there is too little room, columns of the highest number go first; 0 stays."""
    prose: bool = False
    """Whether its cells may be broken between words; such a column is the last."""


@dataclass(slots=True)
class Table:
    """Rows below titles; the first column says what a row is about.

    Parameters
    ----------
    total
        A last row for people: programs add up themselves.
    common
        Cells that all rows share: a title for people, the first columns for programs.
    notes
        What else there is to say, for people only.
    """

    columns: Sequence[Column]
    rows: list[Sequence[Cell]] = field(default_factory=list)
    total: Sequence[Cell] | None = None
    title: str = ""
    common: dict[str, Cell] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, *cells: Cell) -> None:
        """Append a row."""
        self.rows.append(cells)

    def values(self) -> Iterator[list[str]]:
        """Yield the titles, then the rows, for programs."""
        yield [*self.common, *(column.title for column in self.columns)]
        for row in self.rows:
            yield [_value(cell) for cell in (*self.common.values(), *row)]

    def lines(self, width: int, encoding: str = "utf-8") -> Iterator[str]:
        """Yield the table for people, in lines of at most ``width`` columns.

        Rows that are too long lose their spare columns, which a note names, if they fit then.
        Others are stacked: the first cell, groups of columns or at last every cell get lines of
        their own.
        Only a name or number that is itself wider than the terminal makes a longer line.
        """
        cells = [[encodable(_text(cell), encoding) for cell in row] for row in self._all_rows()]
        columns = [replace(each, title=encodable(each.title, encoding)) for each in self.columns]
        rule = encodable("─", encoding)
        layout, left_out = _Layout(columns, cells, self.total is not None, rule).fitted(width)
        if self.title:
            yield from textwrap.wrap(encodable(self.title, encoding), width)
        yield from layout.lines(width)
        notes = list(self.notes)
        if left_out:
            notes.append(f"not shown, for want of room: {', '.join(left_out)} (see --json)")
        for note in notes:
            yield from textwrap.wrap(
                encodable(note, encoding), width, break_long_words=False, break_on_hyphens=False
            )

    def _all_rows(self) -> list[Sequence[Cell]]:
        return self.rows if self.total is None else [*self.rows, self.total]


class _Layout:
    """Cells as they are shown, and how wide they are."""

    def __init__(
        self, columns: Sequence[Column], rows: list[list[str]], total: bool, rule: str
    ) -> None:
        self.columns = columns
        self.rows = rows
        self.total = total
        self.rule = rule

    def fitted(self, width: int) -> "tuple[_Layout, list[str]]":
        """Return the layout without its spare columns and their titles, if a row fits then."""
        layout, dropped = self, []
        while layout.needed() > width:
            place = layout.most_spare()
            if place is None:
                return self, []
            dropped.append(layout.columns[place].title)
            layout = layout.of([i for i in range(len(layout.columns)) if i != place])
        return layout, dropped

    def lines(self, width: int) -> Iterator[str]:
        if not self.rows:
            yield "nothing"
        elif self.needed() <= width:
            yield from self.aligned(width, 0)
        elif len(self.columns) > 1 and self.needed(1) + len(_INDENT) <= width:
            yield from self.aligned(width, 1)
        elif (bands := self._bands(width)) is not None:
            for number, band in enumerate(bands):
                yield from [""] if number else []
                yield from self.of([0, *band]).aligned(width, 0)
        else:
            yield from self._records()

    def of(self, places: list[int]) -> "_Layout":
        """Return some of the columns."""
        columns = [self.columns[place] for place in places]
        rows = [[row[place] for place in places] for row in self.rows]
        return _Layout(columns, rows, self.total, self.rule)

    def _bands(self, width: int) -> list[list[int]] | None:
        """Return the columns in groups that fit behind the first one; None if one does not."""
        bands: list[list[int]] = [[]]
        for place in range(1, len(self.columns)):
            if self.of([0, *bands[-1], place]).needed() > width:
                bands.append([])
            bands[-1].append(place)
        fits = all(self.of([0, *band]).needed() <= width for band in bands)
        return bands if fits else None

    def most_spare(self) -> int | None:
        places = [place for place, column in enumerate(self.columns) if column.spare]
        return max(places, key=lambda place: self.columns[place].spare, default=None)

    def _widths(self) -> list[int]:
        """Return the width of each column: of its widest cell, or of a word of its title."""
        return [
            max(map(cell_len, (*column.title.split(), *(row[place] for row in self.rows))))
            for place, column in enumerate(self.columns)
        ]

    def needed(self, first: int = 0) -> int:
        """Return the width of a row's cells from the first one on, without prose."""
        kept = [
            width
            for width, column in zip(self._widths(), self.columns, strict=True)
            if not column.prose
        ][first:]
        return sum(kept) + len(_GAP) * max(0, len(kept) - 1)

    def aligned(self, width: int, first: int) -> Iterator[str]:
        """Yield rows in columns; the cells before ``first`` have lines of their own."""
        indent = _INDENT if first else ""
        fixed = [place for place, column in enumerate(self.columns) if not column.prose][first:]
        widths = self._widths()
        prose = self.columns[-1].prose
        room = width - self.needed(first) - len(indent) - len(_GAP)
        beside = prose and room >= _LEAST_PROSE
        heads = [textwrap.wrap(self.columns[place].title, max(1, widths[place])) for place in fixed]
        if beside:
            heads.append([self.columns[-1].title])
        if first:
            yield self.columns[0].title
        tallest = max(map(len, heads), default=0)
        padded = [[""] * (tallest - len(head)) + head for head in heads]
        for parts in zip(*padded, strict=True):
            yield indent + self._line(parts, fixed, widths)
        longest = room if beside else -len(_GAP)
        rule = self.rule * min(width, self.needed(first) + len(indent) + len(_GAP) + longest)
        yield rule
        for number, row in enumerate(self.rows):
            if self.total and number == len(self.rows) - 1:
                yield rule
            if first:
                yield row[0]
            told = textwrap.wrap(row[-1], room, break_long_words=False) if beside else []
            cells = [[row[place]] for place in fixed] + ([told] if beside else [])
            for parts in zip_longest(*cells, fillvalue=""):
                yield indent + self._line(parts, fixed, widths)
            if prose and not beside and row[-1]:
                yield from textwrap.wrap(
                    row[-1],
                    width,
                    initial_indent=_INDENT,
                    subsequent_indent=_INDENT,
                    break_long_words=False,
                )

    def _line(self, parts: Sequence[str], fixed: list[int], widths: list[int]) -> str:
        shown = []
        for text, place in zip(parts, fixed, strict=False):
            space = " " * (widths[place] - cell_len(text))
            shown.append(space + text if self.columns[place].right else text + space)
        return _GAP.join([*shown, *parts[len(fixed) :]]).rstrip()

    def _records(self) -> Iterator[str]:
        """Yield every cell with its title in a line of its own."""
        titles = [column.title for column in self.columns[1:]]
        longest = max(map(cell_len, titles), default=0)
        for row in self.rows:
            yield row[0]
            for title, text in zip(titles, row[1:], strict=True):
                if text:
                    yield f"{_INDENT}{title}{' ' * (longest - cell_len(title))}{_GAP}{text}"


def _text(cell: Cell) -> str:
    if isinstance(cell, Shown):
        return cell.text
    if isinstance(cell, int):
        return f"{cell:,}"
    return cell or ""


def _value(cell: Cell) -> str:
    value = cell.value if isinstance(cell, Shown) else cell
    return "" if value is None else " ".join(str(value).splitlines()).replace("\t", " ")
