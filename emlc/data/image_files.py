"""Image files on disk by position: where they lie, how one is read, and which could not be."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from emlc.data.listing import Keys
from emlc.records.errors import SuiteError

logger = logging.getLogger(__name__)

FORMATS = ("JPEG", "PNG")
SUFFIXES = (".jpg", ".jpeg", ".png")

MAX_ASPECT = 20
"""Longer side : shorter side of an image that is still taken for a photograph."""

MAX_BROKEN = 10, 0.01
"""Files of a set that may be unreadable before the run is refused: a number, or a share if that is more."""


@dataclass(frozen=True, eq=False)
class Files:
    """Image files below a folder, by position.

    Attributes
    ----------
    root : Path
    keys : ndarray of bytes [N]
        Relative to `root`.
    """

    root: Path
    keys: Keys

    def __len__(self) -> int:
        """Number of files."""
        return len(self.keys)

    def path(self, position: int) -> Path:
        """Return where a file lies."""
        return self.root / self.keys[position].decode()


@dataclass
class Broken:
    """The files of a set that could not be read so far; grey images stood in for them."""

    files: Files
    positions: set[int] = field(default_factory=set)

    def note(self, positions: Sequence[int]) -> None:
        """Count files that could not be read, and name each in the log; each counts once.

        Raises
        ------
        SuiteError
            If they are more than :data:`MAX_BROKEN`.
        """
        for position in sorted({*positions} - self.positions):
            logger.warning("%s cannot be read; a grey image stands in for it", self.files.path(position))
        self.positions.update(positions)
        number, share = MAX_BROKEN
        if len(self.positions) > max(number, share * len(self.files)):
            first = self.files.path(min(self.positions))
            raise SuiteError(
                f"{len(self.positions)} of {len(self.files):,} images cannot be read, e.g. {first}; restore your copy"
            )

    @property
    def names(self) -> list[str]:
        """Their keys, in the order of the set."""
        return [self.files.keys[position].decode() for position in sorted(self.positions)]


def check_there(files: Files) -> None:
    """Refuse a set of which files are missing: better before a run than in the middle of it.

    Raises
    ------
    SuiteError
        Saying how many, and the first.
    """
    missing = [position for position in range(len(files)) if not files.path(position).is_file()]
    if missing:
        raise SuiteError(
            f"{len(missing):,} of {len(files):,} images are missing, the first is {files.path(missing[0])}"
        )


def open_rgb(path: Path) -> Image.Image:
    """Return an image of any colour mode as RGB.

    Raises
    ------
    Exception
        Of many types, as hostile bytes make the decoders fail; also for shapes that no photograph has.
    """
    with Image.open(path, formats=FORMATS) as image:
        if max(image.size) > MAX_ASPECT * min(image.size):  # scaled by its short side it would fill the memory
            raise ValueError(f"{image.width} x {image.height} pixels")
        return image.convert("RGB")
