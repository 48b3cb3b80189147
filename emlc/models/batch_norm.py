"""Batch normalisation on several processes: with the statistics of all their samples, or each with its own."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import handle_torch_function, has_torch_function_variadic

from emlc.models import processes

SYNCHRONISED, LOCAL = "synchronised", "local"
KINDS = (SYNCHRONISED, LOCAL)

Note = Callable[[Tensor, Tensor], None]
"""Is told the mean and the variance that a batch was normalised with."""


class SynchronisedBatchNorm2d(nn.BatchNorm2d):
    """:class:`torch.nn.BatchNorm2d` over the batches of all processes: as if one process had the whole batch."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return normalised images [n, C, H, W]; every process has as many."""
        if not self.training:
            return super().forward(inputs)
        self.num_batches_tracked.add_(1)
        unbiased = processes.whole(inputs.numel() // inputs.shape[1])

        def note(mean: Tensor, variance: Tensor) -> None:
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (unbiased / (unbiased - 1)), self.momentum)

        return synchronised_batch_norm(inputs, self.weight, self.bias, self.eps, note)


def synchronise(network: nn.Module) -> None:
    """Turn the batch normalisations of a network into synchronised ones, which hold the same."""
    for layer in network.modules():
        if type(layer) is nn.BatchNorm2d:
            layer.__class__ = SynchronisedBatchNorm2d


def average_statistics(networks: Iterable[nn.Module]) -> None:
    """Give all processes the same running statistics, where each has normalised by itself: the mean of theirs.

    They move linearly, so it does not matter how often this is done.
    """
    if processes.count() == 1:
        return
    layers = [layer for network in networks for layer in network.modules() if type(layer) is nn.BatchNorm2d]
    held = [buffer for layer in layers for buffer in (layer.running_mean, layer.running_var)]
    for buffer, mean in zip(held, processes.averaged(held), strict=True):
        buffer.copy_(mean)


def synchronised_batch_norm(inputs: Tensor, weight: Tensor, bias: Tensor, eps: float, note: Note) -> Tensor:
    """Normalise a batch with the statistics of all processes' batches.

    One call for whoever looks on, such as :class:`emlc.metagrad.tape.Tape`.

    Parameters
    ----------
    inputs : Tensor [n, C, H, W]
    weight, bias : Tensor [C]
    eps : float
    note : callable
        Is told the statistics, for running ones.
    """
    if has_torch_function_variadic(inputs, weight, bias):
        return handle_torch_function(synchronised_batch_norm, (inputs, weight, bias), inputs, weight, bias, eps, note)
    return _Normalise.apply(inputs, weight, bias, eps, note)[0]


def standardised(inputs: Tensor, mean: Tensor, rstd: Tensor) -> Tensor:
    """Return (inputs - mean) rstd, per channel, in the type of the statistics."""
    return (inputs - _by_channel(mean)) * _by_channel(rstd)


def tangent_of_standardised(d_inputs: Tensor, standard: Tensor, rstd: Tensor) -> Tensor:
    """Return the tangent of the standardised inputs of this process for tangents of all processes' inputs.

    The Jacobian is symmetric: this is also the gradient by the inputs for gradients by the standardised ones.
    """
    axes = (0, 2, 3)
    moments = torch.stack([d_inputs.mean(axes, dtype=rstd.dtype), (d_inputs * standard).mean(axes)])
    level, slope = processes.total(moments) / processes.count()
    return (d_inputs - _by_channel(level) - standard * _by_channel(slope)) * _by_channel(rstd)


def _by_channel(values: Tensor) -> Tensor:
    return values[:, None, None]


def _statistics_of_all(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance [C] over all processes, from theirs: no difference of large squares."""
    wide = torch.promote_types(inputs.dtype, torch.float32)
    variance, mean = torch.var_mean(inputs.to(wide), dim=(0, 2, 3), correction=0)
    means, variances = processes.gathered(torch.stack([mean, variance])[None]).unbind(1)
    return means.mean(0), variances.mean(0) + means.var(0, correction=0)


class _Normalise(torch.autograd.Function):
    """Returns normalised inputs, and the mean and reciprocal standard deviation that it took."""

    @staticmethod
    def forward(inputs: Tensor, weight: Tensor, bias: Tensor, eps: float, note: Note) -> tuple[Tensor, Tensor, Tensor]:
        mean, variance = _statistics_of_all(inputs)
        note(mean, variance)
        return F.batch_norm(inputs, mean, variance, weight, bias, eps=eps), mean, (variance + eps).rsqrt()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
        ctx.statistics = output[1:]
        ctx.mark_non_differentiable(*ctx.statistics)
        ctx.save_for_backward(inputs[0], inputs[1], *ctx.statistics)
        ctx.save_for_forward(inputs[0], inputs[1], *ctx.statistics)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # once_differentiable lets autograd.grad pass by
            raise RuntimeError("synchronised batch normalisation has no second derivative")
        inputs, weight, mean, rstd = ctx.saved_tensors
        standard = standardised(inputs, mean, rstd)
        through_inputs = tangent_of_standardised(gradient * _by_channel(weight), standard, rstd)
        axes = (0, 2, 3)
        return through_inputs.to(inputs.dtype), (gradient * standard).sum(axes), gradient.sum(axes), None, None

    @staticmethod
    def jvp(
        ctx: Any, d_inputs: Tensor | None, d_weight: Tensor | None, d_bias: Tensor | None, *_: None
    ) -> tuple[Tensor, None, None]:
        inputs, weight, mean, rstd = ctx.saved_tensors
        standard = standardised(inputs, mean, rstd)
        return tangent_of_batch_norm(standard, weight, rstd, d_inputs, d_weight, d_bias).to(inputs.dtype), None, None


def tangent_of_batch_norm(standard: Tensor, weight: Tensor, rstd: Tensor, *tangents: Tensor | None) -> Tensor:
    """Return dy of y = weight xhat + bias, for standardised inputs xhat and the tangents of inputs, weight and bias."""
    d_inputs, d_weight, d_bias = tangents
    moved = torch.zeros_like(standard)
    if d_inputs is not None:
        moved = moved + _by_channel(weight) * tangent_of_standardised(d_inputs, standard, rstd)
    if d_weight is not None:
        moved = moved + _by_channel(d_weight) * standard
    return moved if d_bias is None else moved + _by_channel(d_bias)
