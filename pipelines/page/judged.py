"""A comparison written to its two files."""

from pathlib import Path

from pipelines.compare import write_comparison

__all__ = ["Path", "write_comparison"]
