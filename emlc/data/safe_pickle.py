"""Reading pickled dictionaries of NumPy arrays without running anything that they name.

The official CIFAR archives and the CIFAR-N label files are pickles, a format that may call any importable function.
Here it may name only the three things an array is pickled with (plus ``_codecs.encode``, how Python 3 writes bytes in
old protocols), and even those are inert stand-ins: they record what they are given, and the array is made afterwards,
from bytes whose number, type and shape have been checked.
"""

import io
import math
import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emlc.data.unreadable import unreadable
from emlc.records.errors import SuiteError

_DTYPES = ("u1", "i1", "i2", "i4", "i8")


def load_pickled_dict(data: bytes, source: str) -> dict[str, Any]:
    """Return the dictionary pickled in `data`: keys as text, arrays as ndarray, other values as they are.

    Parameters
    ----------
    data : bytes
        A pickle of Python 2 or 3.
    source : str
        Where it is from, for errors.

    Raises
    ------
    SuiteError
        If the pickle names anything else than a NumPy integer array, naming it; or if it is truncated, no dictionary,
        or its arrays contradict themselves.
    """
    try:
        # The pure-Python unpickler: a hostile memo index or length cannot make it allocate more than `data` holds.
        content = _Unpickler(io.BytesIO(data), encoding="bytes").load()
        return {_text(key): value.array() if isinstance(value, _Array) else value for key, value in content.items()}
    except SuiteError as error:
        raise SuiteError(f"{source}: {error}") from error
    except Exception as error:  # hostile bytes make an unpickler fail in any way
        raise unreadable(source, "pickled dictionary", error) from error


class _Unpickler(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        match module, name:
            case (("numpy.core.multiarray" | "numpy._core.multiarray"), "_reconstruct"):
                return lambda *_: _Array()
            case "numpy", "ndarray":
                return "numpy.ndarray"
            case "numpy", "dtype":
                return lambda code, *_: _Dtype(code)
            case "_codecs", "encode":
                return lambda text, *_: str.encode(text, "latin-1")
        raise SuiteError(
            f"the pickle names {module}.{name}, which this data never needs; refused, do not use this file"
        )


class _Dtype:
    def __init__(self, code: str | bytes) -> None:
        self._code = _text(code)
        self._order = "|"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._order = _text(state[1])

    def dtype(self) -> np.dtype[Any]:
        if self._code not in _DTYPES or self._order not in ("|", "<"):
            raise ValueError("not an array of little-endian integers")
        return np.dtype(f"{self._order}{self._code}")


class _Array:
    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self._shape, self._dtype, self._fortran, self._data = state

    def array(self) -> NDArray[Any]:
        dtype = self._dtype.dtype()
        shape = tuple(int(length) for length in self._shape)
        if min(shape, default=0) < 0 or len(self._data) != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"an array's bytes do not fill its shape {shape}")
        return np.frombuffer(self._data, dtype).reshape(shape, order="F" if self._fortran else "C")


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
