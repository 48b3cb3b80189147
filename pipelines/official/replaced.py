"""A library for official code, but for some of its names: the random draws."""

from typing import Any


class Replaced:
    """A library some of whose names are others.

    Parameters
    ----------
    library : module
    **names
        Name -> what official code finds under it.
    """

    def __init__(self, library: Any, **names: Any) -> None:
        self.__dict__.update(names)
        self._library = library

    def __getattr__(self, name: str) -> Any:
        """Return what the library has under any other name."""
        return getattr(self._library, name)
