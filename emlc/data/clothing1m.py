"""Clothing1M (Xiao et al., CVPR 2015) from a copy of your own, whose images stay on disk.

Its authors give it on request, and nobody may pass it on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from emlc.data.image_files import Files, check_there
from emlc.data.key_lists import annotation_files, image_root, read_key_lists, without_prefix
from emlc.data.listing import Keys, Listing


@dataclass(frozen=True)
class Clothing1M:
    """1,000,000 noisy, 47,570 clean, 14,313 validation and 10,526 test photographs of fourteen kinds of clothes.

    Mean and standard deviation are the data's own, as DivideMix, ELR+, AugDesc and SANM use them; C2D, MLNT, MSLG, MLC,
    EMLC and PLC use ImageNet's, (0.485, 0.456, 0.406) and (0.229, 0.224, 0.225).

    Attributes
    ----------
    pointers : tuple of str
        The folder of the copy.
    preprocessing : str
        Key of :data:`emlc.data.streaming.preprocessing.PREPROCESSING`.
    side, size : int
        Pixels of the squares that files are read to, and of the crops.
    """

    pointers: tuple[str, ...] = ("data/clothing1m",)
    name: str = "clothing1m"
    title: str = "Clothing1M"
    released: str = "2015-06"
    class_map: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    mean: tuple[float, ...] = (0.6959, 0.6537, 0.6371)
    std: tuple[float, ...] = (0.3113, 0.3192, 0.3214)
    flips: bool = True
    preprocessing: str = "cropped"
    side: int = 256
    size: int = 224
    brings_labels: bool = True

    def listing(self, files: tuple[Path, ...]) -> Listing:
        """Read the lists of the copy in ``files[0]`` and see that every image is there; none is opened.

        Raises
        ------
        SuiteError
            As :func:`emlc.data.key_lists.read_key_lists`, and if images are missing.
        """
        (folder,) = files
        listing = read_key_lists(folder)
        for keys in (listing.train_keys, listing.test_keys):
            check_there(self.images(files, keys))
        return listing

    def images(self, files: tuple[Path, ...], keys: Keys) -> Files:
        """Return where the images of some keys lie in the copy in ``files[0]``.

        Raises
        ------
        SuiteError
            If the copy has no image folders.
        """
        (folder,) = files
        return Files(image_root(folder), without_prefix(keys))

    def identified_by(self, folder: Path) -> list[Path]:
        """Return the lists and label files that are there: a million images are not read to tell copies apart."""
        return annotation_files(folder)
