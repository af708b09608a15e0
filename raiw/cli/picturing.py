"""The pictures of ``raiw reproduce``, written into a folder."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from raiw.cli.output import Output
from raiw.cli.progress import LayerProgress
from raiw.cli.writing import target
from raiw.errors import InvalidInput, MissingExtra

if TYPE_CHECKING:
    from raiw.reproduction.picture import Picture
    from raiw.reproduction.registry import Item
    from raiw.reproduction.results import TrainingResult


@dataclass(slots=True)
class PictureFolder:
    """A folder of pictures."""

    out: Output
    folder: Path
    dark: bool
    """Whether PNGs have a dark ground."""
    force: bool
    """Whether files that hold something else are replaced."""
    written: dict[str, list[str]] = field(default_factory=dict)
    """Paths by item."""

    def draw(self, items: "Sequence[Item]", results: "Sequence[TrainingResult]") -> None:
        """Draw the pictures of items.

        Raises
        ------
        InvalidInput
            The folder may not be written, or a file holds something else and is left as it is; the
            other pictures are drawn all the same.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        target(self.folder / "picture.svg")  # says at once that the folder may not be written
        refused: InvalidInput | None = None
        with LayerProgress(
            self.out, "drawing", len(items), first_line=2.0, unit="pictures"
        ) as progress:
            for done, item in enumerate(items):
                progress.show(done, item.name)
                for picture in item.draw(results):
                    refused = self._write(item.name, picture) or refused
        if refused is not None:
            raise refused

    def _write(self, item: str, picture: "Picture") -> InvalidInput | None:
        """Write the files of a picture; return why one was refused."""
        refused = None
        for name, content in self._files(picture):
            place = target(self.folder / name, force=self.force)
            try:
                place.write([content])
            except InvalidInput as error:
                refused = error
                continue
            self.written.setdefault(item, []).append(place.name)
        return refused

    def _files(self, picture: "Picture") -> Iterator[tuple[str, bytes]]:
        yield from picture.files().items()
        try:
            yield from picture.png("dark" if self.dark else "light").items()
        except MissingExtra as error:
            self.out.note(f"no {picture.name}.png: {error.message}")
