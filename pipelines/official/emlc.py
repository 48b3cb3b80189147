"""EMLC: one and k look-ahead steps of the public code."""

import copy
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from pipelines.official import ours
from pipelines.official.clones import Repository
from pipelines.official.comparison import Case, State, momentum_state, network_state
from pipelines.official.networks import WithFeatures, copy_weights
from pipelines.official.source import Definitions, load, needed

REPOSITORY = Repository("MitchellKT", "Enhanced-Meta-Label-Correction", "4ef6fe0b1b821125d03d63edf5ab05f4e9c5c889")
RELEASED = {"clean_statistics": True, "meta_gradient": "fpmg-released"}
TEACHER_LR, EMBEDDING, HIDDEN = 0.02, 128, 128

STATISTICS = "the clean batch moves the student's running statistics"
CHUNKS = "k > 1: soft labels meet the reversed steps' products, divided by k n instead of n"


def cases(clone: Path) -> Iterator[Case]:
    """Yield what the suite's ``released`` options repeat as it is, and what its ``paper`` options undo."""
    meta, models = load(clone, "meta.py"), load(clone, "meta_models.py")
    for k, defects, steps in ((1, (STATISTICS,), (1, 6)), (5, (STATISTICS, CHUNKS), (1, 3))):
        plain = {"look_ahead": k, "corruption": "none", "bce_weight": 0.0}
        retaining = {"look_ahead": k, "corruption": "adversarial"}
        for name, options in (("no label-retaining loss", plain), ("label-retaining loss", retaining)):
            official = partial(_official, meta, models, options)
            yield Case(f"k = {k}, {name}, released options", partial(_ours, options | RELEASED), official, steps=steps)
        yield Case(f"k = {k}, paper's options", partial(_ours, retaining), official, defects, steps)


def _ours(options: dict[str, Any], steps: int) -> State:
    method = _method(options)
    ours.take(method, steps, look_ahead=options["look_ahead"])
    momentum = momentum_state("student", method.optimiser, list(method.student.parameters()))
    return {
        **network_state("student", method.student),
        **momentum,
        **network_state("teacher", method.teacher.backbone),
        **network_state("gate", method.teacher.gate),
    }


def _method(options: dict[str, Any]) -> Any:
    return ours.make("emlc.method", options | {"teacher_lr": TEACHER_LR})


def _official(meta: Definitions, models: Definitions, options: dict[str, Any], steps: int, undone: bool) -> State:
    initial, k, recipe = _method(options), options["look_ahead"], ours.training()
    batches = list(ours.feed(steps, k))
    quiet = tuple(clean.inputs for _, clean in batches) if undone else ()
    student = WithFeatures(copy.deepcopy(initial.student), quiet).train()
    teacher = WithFeatures(copy.deepcopy(initial.teacher.backbone)).train()
    gate = needed(models, "TeacherEnhancer")(ours.CLASSES, initial.student.feature_dim, EMBEDDING, HIDDEN)
    copy_weights(initial.teacher.gate, list(gate.parameters()))
    optimiser = torch.optim.SGD(
        student.parameters(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    others = [torch.optim.SGD(part.parameters(), lr=TEACHER_LR) for part in (teacher, gate)]
    step = _step(meta, k, undone)
    for noisy, clean in batches:
        step(
            main_net=student, main_opt=optimiser, teacher=teacher, teacher_opt=others[0],
            enhancer=gate, enhancer_opt=others[1], data_s=noisy.inputs, target_s=noisy.labels,
            data_g=clean.inputs, target_g=clean.labels, eta=recipe.lr, num_classes=ours.CLASSES,
            injection_mode=options["corruption"], mix_g=False,
        )  # fmt: skip
    momentum = momentum_state("student", optimiser, list(student.parameters()))
    return {
        **network_state("student", student),
        **momentum,
        **network_state("teacher", teacher),
        **network_state("gate", gate),
    }


def _step(meta: Definitions, k: int, undone: bool) -> partial:
    """Return the official step, its chunks put right if asked to."""
    name = "teacher_backward" if k == 1 else "teacher_backward_ms"
    original = needed(meta, "meta_loss")
    meta["official_meta_loss"] = meta.get("official_meta_loss", original)
    meta["meta_loss"] = partial(_paired, meta["official_meta_loss"], k) if undone else meta["official_meta_loss"]
    return partial(needed(meta, name), rank="cpu", args=SimpleNamespace(gradient_steps=k))


def _paired(meta_loss: Any, k: int, products: Tensor, soft_labels: Tensor, lr: float) -> Tensor:
    """Return the meta loss of products put back into the order of their steps, as a mean over each step's samples."""
    return meta_loss(torch.cat(products.chunk(k)[::-1]), soft_labels, lr * k)
