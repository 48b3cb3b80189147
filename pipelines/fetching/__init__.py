"""Pinned bytes: the .dvc files that name them, and downloads that are verified."""
