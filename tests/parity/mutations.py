"""One sign, one factor, one order of each method, changed."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

import baselines.dividemix
import baselines.elr_plus
import baselines.famus
import baselines.fasten
import baselines.gates
import baselines.joint_optim
import baselines.mlc
import baselines.mlnt
import baselines.mslc
import baselines.mslg
import baselines.mw_net
import baselines.pencil
import baselines.sanm
import baselines.two_networks
import emlc.engine.simclr
import emlc.method
import emlc.models.resnet
import emlc.noise.margins
import emlc.noise.matrices
import emlc.noise.part_dependent
from baselines.codivision import Twofold
from emlc.engine.contract import Batch
from emlc.metagrad import META_GRADIENTS

Mutation = Callable[[pytest.MonkeyPatch], None]

SLIGHTLY = 1 + 1e-6


def result_of(place: Any, name: str, change: Callable[[Any], Any]) -> Mutation:
    """Change what a function returns."""
    original = getattr(place, name)
    return lambda patch: patch.setattr(place, name, lambda *args, **kwargs: change(original(*args, **kwargs)))


def arguments_of(place: Any, name: str, change: Callable[..., tuple[Any, ...]]) -> Mutation:
    """Change what a function is given."""
    original = getattr(place, name)
    return lambda patch: patch.setattr(place, name, lambda *args: original(*change(*args)))


def target_gradient(place: Any, factor: float) -> Mutation:
    """Scale the derivative of a virtual step."""
    return result_of(place, "virtual_step", lambda result: (result[0], factor * result[1]))


def reversed_steps(patch: pytest.MonkeyPatch) -> None:
    """Pair the steps of EMLC's look-ahead the other way round, as released and as in the paper."""
    for name in ("fpmg", "fpmg-released"):
        original = META_GRADIENTS[name]
        patch.setitem(META_GRADIENTS, name, lambda window, original=original: original(window)[::-1])


def weights_before_the_update(patch: pytest.MonkeyPatch) -> None:
    """Weigh MW-Net's real step before its network is updated."""
    cls = baselines.mw_net.MWNet
    original = cls._update_weight_net

    def late(method: Any, *args: Any) -> Any:
        before = [value.detach().clone() for value in method.weight_net.parameters()]
        objective = original(method, *args)
        after = [value.detach().clone() for value in method.weight_net.parameters()]
        set_parameters(method.weight_net, before)
        hooked = method.optimiser.register_step_post_hook(lambda *_: done())

        def done() -> None:
            set_parameters(method.weight_net, after)
            hooked.remove()

        return objective

    patch.setattr(cls, "_update_weight_net", late)


def labels_after_the_weights(patch: pytest.MonkeyPatch) -> None:
    """Move PENCIL's labels by the gradient at the weights after the step instead of before it."""
    cls = baselines.pencil.Pencil

    def late(method: Any, logits: torch.Tensor, noisy: Any) -> torch.Tensor:
        vectors = method.label_logits[noisy.indices].requires_grad_()
        loss = method._descend(baselines.pencil.pencil_loss(logits, vectors, noisy.labels, method.options))
        logits = method.student(noisy.inputs).detach()
        (gradient,) = torch.autograd.grad(
            baselines.pencil.pencil_loss(logits, vectors, noisy.labels, method.options), vectors
        )
        method.label_logits[noisy.indices] = (vectors - method.label_lr() * gradient).detach()
        return loss

    patch.setattr(cls, "_correct", late)


def labels_before_their_move(patch: pytest.MonkeyPatch) -> None:
    """Take MSLG's real step on the labels that the look-ahead had, not on what the clean loss has made of them."""
    original, held = baselines.mslg.label_divergence, []

    def lagging(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if held:
            return original(logits, held.pop())
        held.append(labels)
        return original(logits, labels)

    patch.setattr(baselines.mslg, "label_divergence", lagging)


def analysed_views(method: Any, learner: Any, batch: Batch, targets: torch.Tensor) -> tuple[Any, ...]:
    """Learn from the views that targets come of."""
    return method, learner, Batch(batch.views[::-1], batch.labels, batch.indices), targets


@torch.no_grad()
def set_parameters(network: torch.nn.Module, values: list[torch.Tensor]) -> None:
    for parameter, value in zip(network.parameters(), values, strict=True):
        parameter.copy_(value)


JOINT_OPTIM = {
    "sign": result_of(baselines.joint_optim, "entropy", lambda entropy: -entropy),
    "factor": result_of(baselines.joint_optim, "class_prior", lambda prior: SLIGHTLY * prior),
    "order": arguments_of(
        baselines.joint_optim.PredictionMemory,
        "write",
        lambda memory, indices, predictions: (memory, indices, predictions.flip(0)),
    ),
}

MUTATIONS: dict[str, dict[str, Mutation]] = {
    "emlc": {
        "sign": result_of(emlc.method, "surrogate_loss", lambda loss: -loss),
        "factor": result_of(emlc.method, "surrogate_loss", lambda loss: SLIGHTLY * loss),
        "order": reversed_steps,
    },
    "mlc": {
        "sign": result_of(baselines.mlc, "surrogate_loss", lambda loss: -loss),
        "factor": result_of(baselines.mlc, "mlc_discount", lambda discount: SLIGHTLY * discount),
        "order": result_of(baselines.mlc.MLC, "divided", lambda halves: halves[::-1]),
    },
    "mw_net": {
        "sign": target_gradient(baselines.mw_net, -1),
        "factor": result_of(baselines.mw_net.WeightNet, "forward", lambda weights: SLIGHTLY * weights),
        "order": weights_before_the_update,
    },
    "mslc": {
        "sign": target_gradient(baselines.mslc, -1),
        "factor": result_of(baselines.mslc.WeightNet, "forward", lambda weights: SLIGHTLY * weights),
        "order": arguments_of(baselines.mslc.Candidates, "mixed", lambda labels, alpha, beta: (labels, beta, alpha)),
    },
    "fasten": {
        "sign": result_of(baselines.fasten, "forward_corrected", lambda losses: -losses),
        "factor": lambda patch: patch.setattr(baselines.fasten, "EPSILON", 1.1e-7),
        "order": result_of(baselines.fasten, "estimated_matrix", lambda matrix: matrix.T),
    },
    "mlnt": {
        "sign": result_of(baselines.mlnt, "ramp", lambda weight: -weight),
        "factor": result_of(baselines.mlnt, "ramp", lambda weight: SLIGHTLY * weight),
        "order": result_of(baselines.mlnt, "nearest_neighbours", lambda nearest: nearest.flip(1)),
    },
    "simclr": {
        "sign": result_of(emlc.engine.simclr, "nt_xent", lambda loss: -loss),
        "factor": lambda patch: patch.setattr(emlc.engine.simclr, "FINAL_SHARE", 1e-3 * SLIGHTLY),
        "order": arguments_of(emlc.engine.simclr, "nt_xent", lambda a, b, temperature: (a, b.flip(0), temperature)),
    },
    "resnets": {
        "sign": arguments_of(emlc.models.resnet.BasicBlock, "forward", lambda block, images: (block, -images)),
        "factor": result_of(emlc.models.resnet.BasicBlock, "forward", lambda images: SLIGHTLY * images),
        "order": result_of(emlc.models.resnet.BasicBlock, "forward", lambda images: images.flip(1)),
    },
    "pencil": {
        "sign": result_of(baselines.pencil, "entropy", lambda entropy: -entropy),
        "factor": result_of(baselines.pencil.Pencil, "label_lr", lambda lr: SLIGHTLY * lr),
        "order": labels_after_the_weights,
    },
    "elr_plus": {
        "sign": result_of(baselines.elr_plus, "early_learning", lambda term: -term),
        "factor": result_of(baselines.elr_plus, "average_decay", lambda decay: SLIGHTLY * decay),
        "order": arguments_of(
            baselines.elr_plus, "mixed", lambda values, partners, share: (values, partners.argsort(), share)
        ),
    },
    "mslg": {
        "sign": result_of(baselines.mslg, "entropy", lambda entropy: -entropy),
        "factor": result_of(baselines.mslg.MSLG, "label_gradient", lambda gradient: SLIGHTLY * gradient),
        "order": labels_before_their_move,
    },
    "joint_optim": JOINT_OPTIM,
    "joint_optim_chainer": JOINT_OPTIM,
    "part_dependent": {
        "sign": arguments_of(emlc.noise.part_dependent, "softmax_without", lambda logits, label: (-logits, label)),
        "factor": result_of(emlc.noise.part_dependent, "flip_probabilities", lambda flips: flips / SLIGHTLY),
        "order": result_of(emlc.noise.part_dependent, "softmax_without", lambda rows: rows[::-1]),
    },
    "margins": {
        "sign": lambda patch: patch.setitem(emlc.noise.margins.KEEPS, "pmd-type1", (1 / 2, 0, -1 / 2, 0)),
        "factor": result_of(emlc.noise.margins, "first_share", lambda share: share / SLIGHTLY),
        "order": result_of(
            emlc.noise.margins, "contest_of", lambda contest: contest._replace(margin=contest.margin[::-1])
        ),
    },
    "noise": {
        "sign": arguments_of(emlc.noise.matrices, "soften", lambda matrix, rate: (matrix, 1 - rate)),
        "factor": arguments_of(emlc.noise.matrices, "soften", lambda matrix, rate: (matrix, SLIGHTLY * rate)),
        "order": result_of(emlc.noise.matrices, "_others", lambda labels: labels[::-1]),
    },
    "dividemix": {
        "sign": result_of(baselines.dividemix, "from_uniform", lambda loss: -loss),
        "factor": result_of(baselines.two_networks, "ramp_up", lambda weight: SLIGHTLY * weight),
        "order": arguments_of(baselines.dividemix, "mix", lambda parts, *drawn: (parts[::-1], *drawn)),
    },
    "augdesc": {
        "sign": result_of(baselines.two_networks, "negative_entropy", lambda loss: -loss),
        "factor": arguments_of(baselines.two_networks, "sharpen", lambda p, temperature: (p, SLIGHTLY * temperature)),
        "order": arguments_of(baselines.dividemix.DivideMix, "part", analysed_views),
    },
    "famus": {
        "sign": result_of(baselines.gates.LastTensorGates, "leverage", lambda slopes: -slopes),
        "factor": result_of(baselines.famus, "normalised", lambda shares: SLIGHTLY * shares),
        "order": result_of(baselines.famus.FaMUS, "twofold", lambda made: Twofold(made[0], made[2], made[1])),
    },
    "sanm": {
        "sign": arguments_of(baselines.sanm, "lowered", lambda targets, amounts: (targets, -amounts)),
        "factor": arguments_of(baselines.sanm, "lowered", lambda targets, amounts: (targets, SLIGHTLY * amounts)),
        "order": result_of(baselines.sanm, "extremes", lambda places: places[::-1]),
    },
    "c2d": {
        "sign": result_of(baselines.dividemix, "mean_square", lambda loss: -loss),
        "factor": result_of(baselines.two_networks, "low_loss_probability", lambda values: SLIGHTLY * values),
        "order": result_of(baselines.two_networks, "divide", lambda parts: parts[::-1]),
    },
}
"""Adapter -> what is changed -> how."""
