"""Enhanced Meta Label Correction: library, meta-gradients and method.

Import from the submodules; importing the package itself stays cheap (no torch).
"""

__version__ = "0.1.0"
