"""Any set of RGB images as a dataset, by config alone: ``split/class/name.jpg`` in a folder or a tar archive."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from emlc.data.archives import MAX_ARCHIVE_BYTES, Entry, read_archive
from emlc.data.base import Arrays
from emlc.data.pictures import Pixels, decode
from emlc.noise.class_maps import GivenMap
from emlc.records.errors import SuiteError

SPLITS = ("train", "test")
SUFFIXES = (".jpg", ".jpeg", ".png")
LEFT_BY_SYSTEMS = ("__MACOSX", "Thumbs.db", "desktop.ini")
"""What macOS puts into archives and Windows into folders, skipped like hidden files."""


@dataclass(frozen=True)
class ImageFolder:
    """Images of one size in ``train/<class>/<name>`` and ``test/<class>/<name>``, JPEG or PNG, RGB.

    Where all names of a split are numbers, its images are in the order of these numbers across classes (an official
    index order survives), otherwise class by class, names in natural order (``2.jpg`` before ``10.jpg``). Links to
    files and folders are followed. Hidden files, :data:`LEFT_BY_SYSTEMS`, and files above the class folders that are no
    images (a README) are skipped.

    Attributes
    ----------
    classes : tuple of str
        The class folders in label order; empty: the folders found, in natural order (``2`` before ``10``).
    """

    name: str
    pointers: tuple[str, ...]
    title: str = "image folder"
    released: str = "undated"
    class_map: GivenMap = field(default_factory=dict)
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.25, 0.25, 0.25)
    flips: bool = True
    classes: tuple[str, ...] = ()

    def prepare(self, files: tuple[Path, ...]) -> Arrays:
        """Read the folder or tar archive ``files[0]``.

        Raises
        ------
        SuiteError
            Naming the file, if an image is corrupt, not RGB or of another size than the first, lies elsewhere than in
            ``split/class/``, or a class has no image in a split.
        """
        (source,) = files
        images, folders = _read_images(source)
        classes = self.classes or tuple(
            sorted({folder for _, folder in folders}, key=lambda name: (natural_key(name), name))
        )
        _check_folders(source, classes, folders, images)
        train, test = (_in_order(split, classes, images) for split in SPLITS)
        return Arrays(
            *_stack(train, classes, images),
            *_stack(test, classes, images),
            class_names=classes,
        )


Images = dict[PurePosixPath, Pixels]
Folders = set[tuple[str, str]]


def _read_images(source: Path) -> tuple[Images, Folders]:
    images: Images = {}
    folders: Folders = set()
    total = 0
    for path, data in _read_folder(source) if source.is_dir() else read_archive(source):
        if any(map(_is_skipped, path.parts)):
            continue
        if data is None:
            folders |= {(path.parts[0], path.parts[1])} if len(path.parts) == 2 else set()
        elif _is_image(source, path):
            images[path] = _decoded(data, f"{source}: {str(path)!r}", next(iter(images.values()), None))
            folders.add((path.parts[0], path.parts[1]))
            total += images[path].nbytes
            if total > MAX_ARCHIVE_BYTES:
                raise SuiteError(f"{source} has more than {MAX_ARCHIVE_BYTES:,} bytes of pixels, the limit")
    return images, folders


def _is_skipped(name: str) -> bool:
    return name.startswith(".") or name in LEFT_BY_SYSTEMS


def _read_folder(root: Path) -> Iterator[Entry]:
    for path in _walk(root, ()):
        relative = PurePosixPath(path.relative_to(root).as_posix())
        if path.is_dir():
            yield relative, None
        else:
            yield relative, _read_file(path) if path.suffix.lower() in SUFFIXES else b""


def _walk(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    """Yield everything in a folder but what is skipped, also through links, in the order of names."""
    real = folder.resolve()
    if real in above:
        raise SuiteError(f"{folder} is a link to a folder that it lies in; take it out")
    for path in _listed(folder):
        if not path.exists():
            raise SuiteError(f"{path} is a link to nothing; mend it or take it out")
        if not path.is_file() and not path.is_dir():
            raise SuiteError(f"{path} is neither a file nor a folder; take it out")
        yield path
        if path.is_dir():
            yield from _walk(path, (*above, real))


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not _is_skipped(path.name))
    except OSError as error:
        raise SuiteError(f"cannot read {folder}: {error.strerror or error}") from error


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SuiteError(f"cannot read {path}: {error.strerror or error}") from error


def _is_image(source: Path, path: PurePosixPath) -> bool:
    """Whether to read the file; refuse it if it is neither clearly an image in its place nor clearly something else."""
    is_image = path.suffix.lower() in SUFFIXES
    if not is_image and len(path.parts) < 3:
        return False
    if not is_image or len(path.parts) != 3 or path.parts[0] not in SPLITS:
        raise SuiteError(
            f"{source}: {str(path)!r} is not {' or '.join(f'{split}/<class>/<name>' for split in SPLITS)} "
            f"with a name that ends in {', '.join(SUFFIXES)}"
        )
    return True


def _decoded(data: bytes, where: str, first: Pixels | None) -> Pixels:
    """Return a picture's pixels, which must be as many as the first picture's."""
    pixels = decode(data, where)
    if first is not None and pixels.shape != first.shape:
        raise SuiteError(f"{where} has {pixels.shape[:2]} pixels, those before it {first.shape[:2]}; resize it")
    return pixels


def _check_folders(source: Path, classes: Sequence[str], folders: Folders, images: Images) -> None:
    if len(classes) < 2:
        raise SuiteError(
            f"{source} has {len(classes)} class folders; it needs train/<class>/<name>, two classes or more"
        )
    if unknown := sorted({folder for _, folder in folders} - set(classes)):
        raise SuiteError(f"{source} has a folder {unknown[0]!r} that is not among the configured classes")
    filled = {(path.parts[0], path.parts[1]) for path in images}
    for split in SPLITS:
        for name in classes:
            if (split, name) not in filled:
                raise SuiteError(f"{source}: class {f'{split}/{name}'!r} has no image")


def _in_order(split: str, classes: Sequence[str], images: Images) -> list[PurePosixPath]:
    paths = [path for path in images if path.parts[0] == split]
    if all(path.stem.isascii() and path.stem.isdecimal() for path in paths):
        return sorted(paths, key=lambda path: (int(path.stem), classes.index(path.parts[1]), path.name))
    return sorted(paths, key=lambda path: (classes.index(path.parts[1]), natural_key(path.name), path.name))


def natural_key(name: str) -> list[str | int]:
    """Return a sort key that orders the numbers in names by value: ``2.jpg`` before ``10.jpg``."""
    return [int(part) if i % 2 else part for i, part in enumerate(re.split(r"([0-9]+)", name))]


def _stack(paths: Sequence[PurePosixPath], classes: Sequence[str], images: Images) -> tuple[Pixels, NDArray[np.int64]]:
    labels = {name: label for label, name in enumerate(classes)}
    pixels = np.stack([images[path] for path in paths])
    return pixels, np.array([labels[path.parts[1]] for path in paths], dtype=np.int64)
