"""DivideMix (Li, Socher and Hoi, ICLR 2020; LiJunnan1992/DivideMix)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.codivision import Options, Part, from_uniform, mean_square, mix, predict
from baselines.mixup import mixup_coefficient
from baselines.two_networks import CoDivision
from emlc.engine.contract import Batch


class DivideMix(CoDivision):
    """MixMatch on the division of the samples that the other network's losses suggest.

    With p_a the learner's predictions, p_b its peer's, and means over two views, a step has the targets
    ``sharpen(w y + (1 - w) p_a)`` where w > tau (labelled) and ``sharpen((p_a + p_b) / 2)`` elsewhere (unlabelled),
    mixes the first two views of all, here the same as the analysed ones, and descends
    ``L_x + lambda_u ramp(t) L_u + KL(uniform || mean prediction)``.

    A step of B labelled and B unlabelled samples has 6 B images forward and 4 B forward and backward.
    """

    Options = Options

    def loss(self, learner: nn.Module, peer: nn.Module, labelled: Batch, unlabelled: Batch) -> Tensor:
        """Return the loss of a step."""
        return self.mixed_loss(learner, *self.parts(learner, peer, labelled, unlabelled))

    @torch.no_grad()
    def parts(self, learner: nn.Module, peer: nn.Module, labelled: Batch, unlabelled: Batch) -> tuple[Part, Part]:
        """Return what is learned from a step's samples, with their refined and their guessed targets."""
        guessed = self.guessed(predict(learner, unlabelled.views[-2:]), predict(peer, unlabelled.views[-2:]))
        refined = self.refined(labelled, predict(learner, labelled.views[-2:]))
        return self.part(learner, labelled, refined), self.part(learner, unlabelled, guessed)

    def part(self, learner: nn.Module, batch: Batch, targets: Tensor) -> Part:
        """Return what is learned from some samples: their first two views, with the same targets [n, C]."""
        return Part(torch.cat(batch.views[:2]), torch.cat((targets, targets)))

    def mixed_loss(self, learner: nn.Module, labelled: Part, unlabelled: Part) -> Tensor:
        """Return MixMatch's loss of mixed samples."""
        generator, count = self.setting.generator, len(labelled.inputs)
        mixed = mix((labelled, unlabelled), mixup_coefficient(self.options.alpha, generator), generator)
        if self.options.labelled_only:
            mixed = Part(*(whole[:count] for whole in mixed))
        logits = learner(mixed.inputs)
        loss = F.cross_entropy(logits[:count], mixed.targets[:count]) + from_uniform(logits)
        if self.options.labelled_only:
            return loss
        return loss + self.unlabelled_weight * mean_square(logits[count:], mixed.targets[count:])


METHOD = DivideMix
