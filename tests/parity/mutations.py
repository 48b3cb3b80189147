"""One sign, one factor, one order of each method, changed."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

import baselines.dividemix
import baselines.famus
import baselines.fasten
import baselines.gates
import baselines.mlc
import baselines.mlnt
import baselines.mslc
import baselines.mw_net
import baselines.sanm
import baselines.two_networks
import emlc.engine.simclr
import emlc.method
import emlc.models.resnet
import emlc.noise.matrices
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


def analysed_views(method: Any, learner: Any, batch: Batch, targets: torch.Tensor) -> tuple[Any, ...]:
    """Learn from the views that targets come of."""
    return method, learner, Batch(batch.views[::-1], batch.labels, batch.indices), targets


@torch.no_grad()
def set_parameters(network: torch.nn.Module, values: list[torch.Tensor]) -> None:
    for parameter, value in zip(network.parameters(), values, strict=True):
        parameter.copy_(value)


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
