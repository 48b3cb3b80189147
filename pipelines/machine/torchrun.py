"""The processes that torchrun has started for one training, as its environment variables tell of them."""

import os


def started() -> int:
    """Return how many processes torchrun has started; 1 without it."""
    return int(os.environ["WORLD_SIZE"]) if {"RANK", "WORLD_SIZE", "MASTER_ADDR"} <= os.environ.keys() else 1


def rank() -> int:
    """Return which of them this is, from 0."""
    return int(os.environ["RANK"]) if started() > 1 else 0
