"""Meta-Weight-Net (Shu et al., NeurIPS 2019; xjtushujun/meta-weight-net)."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from baselines.weight_net import WeightNet, virtual_step
from emlc.engine.contract import Batch, Setting, StudentMethod
from emlc.metagrad.tape import Tape


@dataclass(frozen=True)
class Options:
    """MW-Net's hyper-parameters; the defaults are those of the released ``MW-Net.py``.

    Attributes
    ----------
    weight_lr, weight_decay : float
        Of the weight network's Adam, constant.
    hidden : int
        Size of the weight network's hidden layer.
    """

    weight_lr: float = 1e-3
    weight_decay: float = 1e-4
    hidden: int = 100


class MWNet(StudentMethod):
    """Student on noisy labels, each sample weighted by a network of its loss that the clean set trains.

    With l_i the Cross-Entropy of sample i and V the weight network, a step looks ahead at
    ``w^ = w - lr grad_w mean_i V(l_i) l_i``, updates V by the clean loss at w^ (derivative by the i-th weight:
    ``-(lr / n) <g', grad_w l_i>``), and takes the real step on ``mean_i V(l_i) l_i`` with the updated V. The weights
    are not normalised. Both steps share one forward pass: 10/3 of the arithmetic of a Cross-Entropy step.
    """

    Options = Options
    shared = True

    def __init__(self, setting: Setting, options: Options) -> None:
        super().__init__(setting, options)
        self.weight_net = WeightNet(options.hidden, setting.initial).to(setting.device)
        self.weight_optimiser = torch.optim.Adam(
            self.weight_net.parameters(), lr=options.weight_lr, weight_decay=options.weight_decay, fused=True
        )

    def learn(self, noisy: Batch, clean: Batch) -> dict[str, Tensor]:
        """Update the weight network by a virtual step, then take the real step with its new weights."""
        tape = Tape(self.student)
        with tape:
            logits = self.student(noisy.inputs)
        losses = F.cross_entropy(logits, noisy.labels, reduction="none")
        objective = self._update_weight_net(tape, logits, losses, noisy, clean)
        with torch.no_grad():
            weights = self.weight_net(losses)
        loss = (weights * losses).mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return {"student_loss": loss.detach(), "meta_objective": objective, "mean_weight": weights.mean()}

    def _update_weight_net(self, tape: Tape, logits: Tensor, losses: Tensor, noisy: Batch, clean: Batch) -> Tensor:
        """Take one Adam step on the clean loss after the virtual step and return that loss."""
        weights = self.weight_net(losses)
        lr = self.optimiser.param_groups[0]["lr"]
        loss = (weights.detach() * losses).mean()
        objective, target_gradient = virtual_step(self.student, tape, logits, loss, lr, clean)
        # The i-th weight scales the one-hot target of sample i, so its derivative is that of the given label's entry.
        weight_gradient = target_gradient.gather(1, noisy.labels[:, None])[:, 0]
        self.weight_optimiser.zero_grad()
        (weight_gradient * weights).sum().backward()
        self.weight_optimiser.step()
        return objective


METHOD = MWNet
