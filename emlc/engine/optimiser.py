"""The student's optimiser: SGD whose step leaves the parameter values before it where they are."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class ReplacingSGD(torch.optim.SGD):
    """:class:`torch.optim.SGD` (plain, heavy-ball or Nesterov momentum), but with new tensors, not overwritten ones.

    ``v <- mu v + g + wd w; w <- w - lr v`` (Nesterov: ``w - lr (g + wd w + mu v)``), bit for bit what the parent
    computes. A parameter stays the same object and gets new storage, so ``parameter.detach()`` taken before a step
    still holds the old value after it, and so do the old momentum buffers: a look-ahead needs no snapshots. Gradients
    are used up.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Make one step; parameters without a gradient stay as they are.

        Raises
        ------
        NotImplementedError
            For a closure, dampening or maximisation, which no method here uses.
        """
        if closure is not None:
            raise NotImplementedError("a closure: evaluate the loss before the step")
        for group in self.param_groups:
            if group["dampening"] or group["maximize"]:
                raise NotImplementedError("dampening and maximize: use torch.optim.SGD")
            self._replace(group)
        return None

    def _replace(self, group: dict[str, Any]) -> None:
        params = [parameter for parameter in group["params"] if parameter.grad is not None]
        if not params:
            return
        gradients = [parameter.grad for parameter in params]
        if group["weight_decay"]:
            torch._foreach_add_(gradients, params, alpha=group["weight_decay"])
        if group["momentum"]:
            velocities = self._accelerate(params, gradients, group["momentum"])
            if group["nesterov"]:
                torch._foreach_add_(gradients, velocities, alpha=group["momentum"])
            else:
                gradients = velocities
        values = torch._foreach_add(params, gradients, alpha=-group["lr"])
        for parameter, value in zip(params, values, strict=True):
            parameter.data = value

    def _accelerate(self, params: list[Tensor], gradients: list[Tensor], momentum: float) -> list[Tensor]:
        """Return the new momentum buffers and make them the state."""
        buffers = torch._foreach_mul([self.velocity(parameter) for parameter in params], momentum)
        torch._foreach_add_(buffers, gradients)
        for parameter, buffer in zip(params, buffers, strict=True):
            self.state[parameter]["momentum_buffer"] = buffer
        return buffers

    def velocity(self, parameter: Tensor) -> Tensor:
        """Return the momentum buffer v of a parameter: zeros before its first step, never overwritten later."""
        buffer = self.state[parameter].get("momentum_buffer") if parameter in self.state else None
        return torch.zeros_like(parameter) if buffer is None else buffer
