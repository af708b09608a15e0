"""Tables for terminals of every width and encoding, and for pipes."""

import string

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from raiw.cli.table import Column, Shown, Table

names = st.text(string.ascii_letters + "._/é漢", min_size=1, max_size=30)
numbers = st.integers(0, 10**9)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    count = draw(st.integers(0, 7))
    spare = [draw(st.sampled_from([0, 0, 1])) for _ in range(count)]
    columns = [Column(f"title {place}", right=True, spare=n) for place, n in enumerate(spare)]
    table = Table([Column("layer"), *columns])
    for _ in range(draw(st.integers(1, 4))):
        table.add(draw(names), *(draw(numbers) for _ in range(count)))
    if draw(st.booleans()):
        table.total = ["total", *(draw(numbers) for _ in range(count))]
    return table


@given(tables(), st.integers(1, 200))
def test_nothing_is_cut_and_only_what_is_wider_than_the_terminal_makes_a_longer_line(
    table: Table, width: int
) -> None:
    lines = [*table.lines(width)]
    text = "\n".join(lines)
    dropped = [c.title for c in table.columns if c.spare and "want of room" in " ".join(lines)]
    for row in [*table.rows, *([table.total] if table.total else [])]:
        assert row[0] in text
        for column, number in zip(table.columns[1:], row[1:], strict=True):
            assert f"{number:,}" in text.split() or column.title in dropped
    widest = max(cell_len(row[0]) for row in table.rows)
    record = 4 + len("title 0") + 2 + len("1,000,000,000")  # a cell in a line of its own
    assert max(map(cell_len, lines)) <= max(width, widest, record)


@given(tables())
def test_a_pipe_gets_every_cell_once(table: Table) -> None:
    head, *rows = table.values()
    assert head == [column.title for column in table.columns]
    assert rows == [[str(cell) for cell in row] for row in table.rows]


@given(tables(), st.sampled_from(["cp1252", "ascii", "latin-1", "utf-8"]))
def test_every_encoding_can_hold_a_table(table: Table, encoding: str) -> None:
    table.title, table.notes = "λ₂ of 3 × 3", ["≤ 4 ± 1 …"]
    table.add("\x1b[2Jname", *(Shown("≥ 1", 1) for _ in table.columns[1:]))
    lines = [*table.lines(80, encoding)]
    assert "\n".join(lines).encode(encoding)
    assert not any("\x1b" in line for line in lines)


def test_prose_stands_beside_the_row_where_there_is_room_and_below_it_elsewhere() -> None:
    table = Table([Column("item"), Column("why", prose=True)])
    table.add("table4", "so Table 4 has it, but the text has another number")
    assert "table4  so Table 4 has it, but" in "\n".join(table.lines(40))
    assert [*table.lines(20)][2:] == [
        "table4",
        "    so Table 4 has",
        "    it, but the text",
        "    has another",
        "    number",
    ]
