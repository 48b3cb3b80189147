"""Seeds from the axes they may vary on: no global random state, no two axes sharing a stream by accident."""

import hashlib


def derive_seed(*axes: object) -> int:
    """Return a 63-bit seed that depends on the text of every axis and on nothing else.

    Parameters
    ----------
    *axes : object
        What the random numbers may depend on, e.g. ``("noise", "digits", "sym", 0.5, 0)``. The text of each axis
        (``str``) enters the hash, separated so that ``("ab", "c")`` and ``("a", "bc")`` differ.

    Returns
    -------
    int
        A seed in [0, 2**63), good for :func:`numpy.random.default_rng` and :meth:`torch.Generator.manual_seed`.
    """
    text = "\x1f".join(str(axis) for axis in axes)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
