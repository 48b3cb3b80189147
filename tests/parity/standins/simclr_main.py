"""SupContrast's command line."""

from types import SimpleNamespace


def parse_option():
    return SimpleNamespace(learning_rate=0.5, epochs=1000)
