"""The one training engine that every method runs in."""

from emlc.engine.contract import Batch, Method, Setting, Training

__all__ = ["Batch", "Method", "Setting", "Training"]
