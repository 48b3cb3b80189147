"""One picture file: JPEG or PNG bytes to the pixels that a viewer shows."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from emlc.data.unreadable import unreadable
from emlc.records.errors import SuiteError

MAX_PIXELS = 2**24

Pixels = NDArray[np.uint8]

_PNG = b"\x89PNG\r\n\x1a\n"
_BIT_DEPTH = 24
"""Where a PNG file says how many bits a channel has; Pillow cuts 16 to 8 without a word."""

_OTHERS = {b"GIF8": "a GIF", b"RIFF": "a WebP", b"BM": "a BMP", b"II*\0": "a TIFF", b"MM\0*": "a TIFF", b"<": "text"}


def decode(data: bytes, where: str) -> Pixels:
    """Return a picture's pixels, turned as its EXIF orientation says.

    Parameters
    ----------
    data : bytes
        Content of a JPEG or PNG file.
    where : str
        The user's name of the file, for errors.

    Returns
    -------
    ndarray of uint8 [H, W, 3]

    Raises
    ------
    SuiteError
        If it is something else, damaged, not RGB of 8 bits a channel, or has more than :data:`MAX_PIXELS` pixels.
    """
    try:
        with Image.open(BytesIO(data), formats=("JPEG", "PNG")) as image:
            _check(image, data, where)
            ImageOps.exif_transpose(image, in_place=True)
            return np.array(image)
    except SuiteError:
        raise
    except UnidentifiedImageError:
        kind = next((kind for start, kind in _OTHERS.items() if data.startswith(start)), "damaged or something else")
        reason = f"({kind if data else 'empty'}); convert it or take it out"
        raise SuiteError(f"{where} is not a readable JPEG or PNG image {reason}") from None
    except Exception as error:  # hostile bytes make the decoders fail in many ways
        raise unreadable(where, "JPEG or PNG image", error, "replace it by a whole one or take it out") from error


def _check(image: Image.Image, data: bytes, where: str) -> None:
    """Refuse a picture that cannot be taken as it is, before it is decoded."""
    if data.startswith(_PNG) and data[_BIT_DEPTH] == 16:
        raise SuiteError(f"{where} has 16 bits a channel; convert it to 8 bits, as you want it done, or take it out")
    if image.mode != "RGB":
        raise SuiteError(f"{where} is {image.mode!r}, not RGB; convert it or take it out")
    if image.height * image.width > MAX_PIXELS:
        raise SuiteError(f"{where} has {(image.height, image.width)} pixels, more than {MAX_PIXELS:,}; resize it")
