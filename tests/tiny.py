"""The real thing in tiny: a dataset of 8x8 images, a profile for it, and every method of the repository."""

from pathlib import Path
from typing import Any

import yaml

from emlc.data.store import save_arrays
from emlc.engine.trial import CLEAN_PER_CLASS, tiny_arrays

ROOT = Path(__file__).resolve().parent.parent
TRAINING = {"epochs": 4, "batch_size": 12, "lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4}
"""65 noisy images are five batches of 12, one for k = 5; 15 clean ones are one batch of 12."""

OPTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "emlc.method": {"k=1": {"corruption": "random"}, "k=5": {"look_ahead": 5, "corruption": "random"}},
    "baselines.joint_optim": {"": {"first_share": 0.5, "memory_epochs": 2}},
    "baselines.pencil": {"": {"warm_up": 0.25, "correction": 0.5, "last_label_lr": 100.0}},
    "baselines.elr_plus": {"": {"ramp": 0.5, "masked_classes": 5}},
    "baselines.mslg": {"": {"warm_up": 0.5}},
    "baselines.self_learning": {"noisy": {}, "clean": {"clean_prototypes": True}},
    "baselines.dividemix": {"": {"warm_up": 0.25, "ramp": 0.25, "loss_epochs": 2}},
    "baselines.augdesc": {"": {"warm_up": 0.25, "warm_up_view": "strong"}},
    "baselines.c2d": {"": {"warm_up": 0.25}},
    "baselines.sanm": {"": {"warm_up": 0.25, "ramp": 0.25, "decoder_width": 8}},
    "baselines.famus": {
        "": {"warm_up": 0.25, "ramp": 0.25},
        "last-tensors": {"warm_up": 0.25, "ramp": 0, "gates": "last-tensors"},
    },
    "baselines.fasten": {"": {"threshold": 0.21}},
    "baselines.mlc": {"k=1": {}, "k=3": {"gradient_steps": 3}},
    "baselines.mslc": {"": {"warm_up": 0.5, "memory_epochs": 1}},
    "baselines.mlnt": {"": {"num_fast": 2, "pretrain_epochs": 1, "mentor_stages": 2, "ramp_epochs": 1}},
}
"""Options that let a method do all that it can within four epochs; methods that are not named run on their defaults."""

EVIDENCE = ("variants", "figures", "ablations", "timing", "fidelity")
"""Keys of a profile that name its methods: they go where the methods go."""


def implementations() -> list[str]:
    """Every module that names a METHOD, without importing it."""
    files = [*sorted((ROOT / "baselines").glob("*.py")), ROOT / "emlc" / "method.py"]
    return [f"{path.parent.name}.{path.stem}" for path in files if "\nMETHOD = " in path.read_text()]


def variants() -> dict[str, tuple[str, dict[str, Any]]]:
    """Test id -> implementation and options."""
    return {
        f"{name} {label}".strip(): (name, options)
        for name in implementations()
        for label, options in OPTIONS.get(name, {"": {}}).items()
    }


def tiny_profile(**changes: Any) -> dict[str, Any]:
    """The default profile, cut down until every run takes a fraction of a second."""
    tiny = {
        "profile": "tiny",
        "seeds": [0],
        "cells_per_job": 1,
        "datasets": {
            "digits": {
                "kind": "digits",
                "clean_per_class": CLEAN_PER_CLASS,
                "crop_padding": 1,
                "model": {"name": "cnn-small", "width": 4},
            }
        },
        "tables": {
            "table1": {
                "title": "Table 1",
                "published": "published/table1.csv",
                "columns": [{"dataset": "digits", "noise": "sym", "rate": 0.5}],
            }
        },
        "training": {**TRAINING, "epochs": 2},
        "initialisation": "scratch",
        "methods": {
            "cross-entropy": {"label": "Cross-Entropy", "implementation": "baselines.cross_entropy"},
            "emlc-k5": {"label": "EMLC (k=5)", "implementation": "emlc.method", "options": {"look_ahead": 5}},
        },
    }
    default = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    table_only = {key: value for key, value in default.items() if key not in EVIDENCE}
    return table_only | tiny | changes


def write_yaml(path: Path, content: Any) -> Path:
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def write_data(path: Path, seed: int = 0) -> Path:
    save_arrays(path, tiny_arrays(seed), "digits")
    return path
