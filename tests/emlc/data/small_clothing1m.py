"""A small copy of Clothing1M in the layout of the original release, with all that makes it hard to read."""

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = 14
PER_LIST = {"noisy_train": 8, "clean_train": 3, "clean_val": 2, "clean_test": 1}
"""Images of each class in each list; class 0 has twice as many in the noisy one."""

GREY, CMYK, PNG, BROKEN, TRUNCATED = range(5)
"""Positions in the noisy list of images that are unlike the others."""


def write_clothing1m(folder: Path, per_list: dict[str, int] = PER_LIST, size: int = 24) -> None:
    """Write lists, label files and images; image sizes and places vary, names have commas."""
    rng = np.random.default_rng(0)
    noisy, clean = {}, {}
    for name, count in per_list.items():
        labels = rng.permutation(np.repeat(np.arange(CLASSES), count))
        labels = np.append(labels, np.zeros(count, int)) if name == "noisy_train" else labels
        keys = [key_of(name, position) for position in range(len(labels))]
        (folder / f"{name}_key_list.txt").write_text("".join(f"{key}\n" for key in keys))
        (noisy if name == "noisy_train" else clean).update(zip(keys, labels.tolist(), strict=True))
        for position, (key, label) in enumerate(zip(keys, labels.tolist(), strict=True)):
            write_image(folder / key, label, position if name == "noisy_train" else -1, size, rng)
    # Images of the clean lists that have a noisy label too, and labels of images that no list has.
    both = [key for position, key in enumerate(clean) if position % 2 == 0]
    noisy |= {key: (clean[key] + (position % 3 == 0)) % CLASSES for position, key in enumerate(both)}
    noisy["images/9/99/1,2.jpg"], clean["images/9/99/3,4.jpg"] = 5, 6
    for name, label_of in (("noisy", noisy), ("clean", clean)):
        lines = [f"{key} {label}\n" for key, label in label_of.items()]
        (folder / f"{name}_label_kv.txt").write_text("".join(lines[i] for i in rng.permutation(len(lines))))


def key_of(name: str, position: int) -> str:
    """Return a key such as the original's: ``images/2/46/50748838,3981129246.jpg``."""
    number = 1000 * list(PER_LIST).index(name) + position
    return f"images/{number % 10}/{number % 100:02}/{50_000_000 + number},{3_000_000_000 + 7 * number}.jpg"


def write_image(path: Path, label: int, position: int, size: int, rng: np.random.Generator) -> None:
    """Write a picture whose colour tells its class; those at some positions are of another kind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = size + rng.integers(0, 9, 2)
    colour = np.array([18 * label, 255 - 18 * label, 100])
    pixels = np.clip(colour + rng.integers(-20, 21, (height, width, 3)), 0, 255).astype(np.uint8)
    image = Image.fromarray(pixels)
    if position == GREY:
        image.convert("L").save(path, "JPEG")
    elif position == CMYK:
        image.convert("CMYK").save(path, "JPEG")
    elif position == PNG:
        image.save(path, "PNG")
    elif position == BROKEN:
        path.write_bytes(b"<html>not found</html>")
    else:
        image.save(path, "JPEG", quality=95)
    if position == TRUNCATED:
        path.write_bytes(path.read_bytes()[:-200])
