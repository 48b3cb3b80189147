"""Reading pickled dictionaries of NumPy arrays without running anything that they name.

The official CIFAR archives and the CIFAR-N label files are pickles, a format that may call any importable function.
Here it may name only the things an array is pickled with (plus ``_codecs.encode``, how Python 3 writes bytes in old
protocols), and even those are inert stand-ins: they record what they are given, and the array is made afterwards, from
bytes whose number, type and shape have been checked.
"""

import io
import math
import pickle
import struct
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emlc.data.unreadable import unreadable
from emlc.records.errors import SuiteError

_DTYPES = ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f4", "f8")
_REMEDY = "put a whole one in its place"


def load_pickled_dict(data: bytes, source: str, remedy: str = _REMEDY) -> dict[str, Any]:
    """Return the dictionary pickled in `data`: keys as text, arrays as ndarray, other values as they are.

    Parameters
    ----------
    data : bytes
        A pickle of Python 2 or 3 of the dictionary, or of an array of no dimensions around it, as ``numpy.save`` makes.
    source : str
        Where it is from, for errors.
    remedy : str
        What to do about data that cannot be used; ends the message.

    Raises
    ------
    SuiteError
        If the pickle names anything else than a NumPy array of numbers, naming it; or if it is truncated, no
        dictionary, or its arrays contradict themselves.
    """
    try:
        # The pure-Python unpickler: a hostile memo index or length cannot make it allocate more than `data` holds.
        content = _Unpickler(io.BytesIO(data), encoding="bytes").load()
        content = content.content() if isinstance(content, _Array) else content
        if not isinstance(content, dict):
            raise ValueError(f"it holds {type(content).__name__}")
        return {_text(key): value.array() if isinstance(value, _Array) else value for key, value in content.items()}
    except SuiteError as error:
        raise SuiteError(f"{source}: {error}; {remedy}") from error
    except Exception as error:  # hostile bytes make an unpickler fail in any way
        raise unreadable(source, "pickled dictionary", error, remedy) from error


class _Unpickler(pickle._Unpickler):
    dispatch: ClassVar[dict[int, Callable[..., None]]] = dict(pickle._Unpickler.dispatch)  # type: ignore[attr-defined]

    def load_bytearray8(self) -> None:
        """Read the bytes of an array; Python's own version allocates whatever length the pickle claims."""
        (length,) = struct.unpack("<Q", self.read(8))
        self.append(self.read(length))

    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8

    def find_class(self, module: str, name: str) -> Any:
        match module, name:
            case (("numpy.core.multiarray" | "numpy._core.multiarray"), "_reconstruct"):
                return lambda *_: _Array()
            case (("numpy.core.numeric" | "numpy._core.numeric"), "_frombuffer"):  # protocol 5
                return lambda data, dtype, shape, order: _Array(shape, dtype, order == "F", data)
            case "numpy", "ndarray":
                return "numpy.ndarray"
            case "numpy", "dtype":
                return lambda code, *_: _Dtype(code)
            case "_codecs", "encode":
                return lambda text, *_: str.encode(text, "latin-1")
        if module.partition(".")[0] == "torch":
            raise SuiteError(f"the pickle names {module}.{name}: it holds PyTorch tensors; call .numpy() on each")
        raise SuiteError(f"the pickle names {module}.{name}, which this data never needs; refused")


class _Dtype:
    def __init__(self, code: str | bytes) -> None:
        self._code = _text(code)
        self._order = "|"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._order = _text(state[1])

    def dtype(self) -> np.dtype[Any]:
        if self._code not in _DTYPES or self._order not in ("|", "<"):
            raise ValueError("not an array of little-endian numbers")
        return np.dtype(f"{self._order}{self._code}")


class _Array:
    def __init__(self, *state: Any) -> None:
        self._state = state

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._state = state[1:]

    def content(self) -> Any:
        """Return the one object in an array of no dimensions."""
        shape, _, _, data = self._state
        if shape != () or not isinstance(data, list):
            raise ValueError("it is an array, not a dictionary of arrays")
        return data[0]

    def array(self) -> NDArray[Any]:
        lengths, kind, fortran, data = self._state
        dtype, shape = kind.dtype(), tuple(int(length) for length in lengths)
        if min(shape, default=0) < 0 or len(data) != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"an array's bytes do not fill its shape {shape}")
        return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
