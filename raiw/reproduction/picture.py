"""A picture of a paper, drawn anew: the drawing and the numbers in it."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from raiw.pictures.drawing import Drawing, headed, padded

if TYPE_CHECKING:
    from raiw.pictures.raster import Theme

DataRow = Mapping[str, str | int | float]
"""A row of a picture's numbers, by column."""

_MARGIN = 20


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing, and what is drawn as rows of numbers."""

    name: str
    drawing: Drawing
    records: Sequence[DataRow]
    """All with the same columns."""

    @classmethod
    def of(
        cls, name: str, drawing: Drawing, records: Sequence[DataRow], heading: str, note: str
    ) -> "Picture":
        """Return a picture below a heading and a line of explanation."""
        return cls(name, padded(headed(drawing, heading, note), _MARGIN), records)

    def csv(self) -> str:
        """Return the rows as CSV; the same on every machine."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(self.records[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.records)
        return text.getvalue()

    def files(self) -> dict[str, bytes]:
        """Return the SVG and the numbers by file name."""
        return {
            f"{self.name}.svg": self.drawing.svg().encode(),
            f"{self.name}.csv": self.csv().encode(),
        }

    def png(self, theme: "Theme" = "light") -> dict[str, bytes]:
        """Return the PNG by file name.

        Raises
        ------
        MissingExtra
            Pillow is not installed.
        """
        from raiw.pictures.raster import png

        return {f"{self.name}.png": png(self.drawing, theme)}
