"""The weight network of MW-Net and MSLC, and the virtual step of the student that trains it.

Both methods weigh loss terms with a tiny network and ask how the clean loss after one plain-SGD step depends on the
weights. That derivative is a Jacobian-vector product of the forward pass that the student's real step needs anyway,
so it is exact without a second backward pass through the step.
"""

import torch
from torch import Tensor, nn

from emlc.engine.contract import Batch
from emlc.metagrad import clean_feedback
from emlc.metagrad.tape import Tape
from emlc.models import initialise, processes, undrawn


class WeightNet(nn.Module):
    """An MLP with one hidden layer from a sample's loss to a weight in (0, 1) (Shu et al., NeurIPS 2019, section 2.1).

    Parameters
    ----------
    hidden : int
        Size of the hidden layer, ReLU; the output is a sigmoid.
    generator : torch.Generator
        Draws the initial weights, uniform in +-1/sqrt(fan-in).
    """

    def __init__(self, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        with undrawn(self):
            self.layers = nn.Sequential(nn.Linear(1, hidden), nn.ReLU(), nn.Linear(hidden, 1), nn.Sigmoid())
        initialise(self, generator)

    def forward(self, losses: Tensor) -> Tensor:
        """Return weights [n] for losses [n]; no gradient flows into the losses."""
        return self.layers(losses.detach()[:, None])[:, 0]


def virtual_step(
    student: nn.Module, tape: Tape, logits: Tensor, loss: Tensor, lr: float, clean: Batch
) -> tuple[Tensor, Tensor]:
    """Look one plain-SGD step ahead, w^ = w - lr grad_w loss, without touching the student.

    Parameters
    ----------
    student : nn.Module
        At the weights w of the recorded pass; its running statistics are left alone.
    tape : Tape
        Holds the student's forward pass on the noisy batch.
    logits : Tensor [n, C]
        What that pass returned.
    loss : Tensor, scalar
        The mean over the batch of ``-sum_c q_ic log p_ic`` for constant targets q, in the graph of `logits`. The
        graph is kept for the real step.
    lr : float
    clean : Batch

    Returns
    -------
    objective : Tensor, scalar
        The mean Cross-Entropy of the clean batch at w^.
    target_gradient : Tensor [n, C]
        Its derivative by the targets q: ``(lr / n) <g', grad_w log p_ic>`` with g' its gradient at w^. Batch norm's
        coupling of the samples is part of it.
    """
    params = dict(student.named_parameters())
    gradients = processes.averaged(torch.autograd.grad(loss, tuple(params.values()), retain_graph=True))
    virtual = {name: params[name].detach() - lr * grad for name, grad in zip(params, gradients, strict=True)}
    objective, feedback = clean_feedback(student, virtual, clean.inputs, clean.labels)
    return objective, tape.jvp(logits, params, feedback) * (lr / len(logits))
