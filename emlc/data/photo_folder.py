"""Photographs of any size in a folder or a tar archive, whose images stay on disk."""

from dataclasses import dataclass, field
from pathlib import Path

from emlc.data.folder_listing import list_folders
from emlc.data.image_files import SUFFIXES, Files
from emlc.data.listing import Keys, Listing
from emlc.noise.class_maps import GivenMap


@dataclass(frozen=True)
class PhotoFolder:
    """Images in ``train/<class>/<name>``, ``test/<class>/<name>`` and, if there is one, ``validation/<class>/<name>``.

    All labels are true ones: noise and splits are drawn, from ``train`` and ``validation`` together. Mean and standard
    deviation are ImageNet's.

    Attributes
    ----------
    pointers : tuple of str
        The folder or archive.
    preprocessing, side, size
        As in :class:`emlc.data.clothing1m.Clothing1M`.
    """

    name: str
    pointers: tuple[str, ...]
    title: str = "photographs"
    released: str = "undated"
    class_map: GivenMap = field(default_factory=dict)
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    flips: bool = True
    preprocessing: str = "cropped"
    side: int = 256
    size: int = 224
    brings_labels: bool = False

    def listing(self, files: tuple[Path, ...]) -> Listing:
        """List the folder ``files[0]``; errors as :func:`emlc.data.folder_listing.list_folders`."""
        (folder,) = files
        return list_folders(folder)

    def images(self, files: tuple[Path, ...], keys: Keys) -> Files:
        """Return where the images of some keys lie in the folder ``files[0]``."""
        (folder,) = files
        return Files(folder, keys)

    def identified_by(self, folder: Path) -> list[Path]:
        """Return all images."""
        return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
