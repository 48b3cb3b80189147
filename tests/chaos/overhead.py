"""How much longer whole runs take with checkpoints: pairs of runs in turn, medians (python -m tests.chaos.overhead)."""

import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from pipelines import fetch, inject, prepare, train
from pipelines.profile.load import load_settings
from pipelines.profile.settings import DEFAULT_PROFILE, ROOT

PAIRS = 7


def seconds(argv: list[str]) -> float:
    """Wall time of one training, from its command line to its record; loading PyTorch is not part of it."""
    started = time.perf_counter()
    assert train.main(argv) == 0
    return time.perf_counter() - started


def ratios(folder: Path, method: str, common: list[str]) -> list[float]:
    """Time with checkpoints by time without, of runs in turn, after one of each that does not count."""
    argv = [*common, "--method", method, "--task", str(folder / "task.npz"), "--out", str(folder / "out")]
    kept = folder / "kept"
    pairs = []
    for _ in range(PAIRS + 1):
        shutil.rmtree(kept, ignore_errors=True)
        with_checkpoints = seconds([*argv, "--checkpoints", str(kept)])
        pairs.append(with_checkpoints / seconds(argv))
    return pairs[1:]


def main(methods: list[str]) -> None:
    """Print the median ratio of each method of the default profile, and of all."""
    found: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        axes = ["--config", str(DEFAULT_PROFILE), "--dataset", "digits"]
        fetch.main([str(ROOT / "data.dvc")])
        prepare.main([*axes, "--out", str(folder / "data.npz")])
        common = [*axes, "--data", str(folder / "data.npz"), "--noise", "sym", "--rate", "0.5", "--seed", "0"]
        inject.main([*common, "--out", str(folder / "task.npz")])
        for method in methods or list(load_settings([DEFAULT_PROFILE])["methods"]):
            measured = ratios(folder, method, common)
            found += measured
            print(f"{method}: {statistics.median(measured):.3f} ({min(measured):.3f} to {max(measured):.3f})")
    print(f"all: {statistics.median(found):.3f}, n = {len(found)} pairs")


if __name__ == "__main__":
    main(sys.argv[1:])
