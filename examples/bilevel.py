"""The meta-gradient in a problem of one's own: which labels of a data set are wrong?

Twenty clean points, and a hundred of which every third has the wrong label. The lower level trains a linear classifier
on soft labels; the upper level moves these labels so that the classifier's next step does better on the clean points.
No images, no engine, no method of the suite: a model, its gradient steps, and `emlc.metagrad`.
"""

import torch
from torch import nn
from torch.nn import functional as F

from emlc.metagrad import feedback_gradient, fpmg_loss

LR, STEPS = 0.5, 200


def points(count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return points [n, 2] and whether each lies right of the line x = y, as 0 or 1 [n]."""
    inputs = torch.randn(count, 2, generator=generator)
    return inputs, (inputs[:, 0] > inputs[:, 1]).long()


def learn_labels(seed: int) -> tuple[float, float]:
    """Return the share of right labels as given and as learned."""
    generator = torch.Generator().manual_seed(seed)
    clean_inputs, clean_labels = points(20, generator)
    inputs, true = points(100, generator)
    given = torch.where(torch.arange(100) % 3 == 0, 1 - true, true)

    student = nn.Linear(2, 2)
    params = {name: torch.zeros_like(value) for name, value in student.named_parameters()}
    labels = F.one_hot(given, 2).float().requires_grad_()  # the teacher: one row of logits per point
    teacher = torch.optim.Adam([labels], lr=0.05)
    for _ in range(STEPS):
        targets = labels.softmax(dim=1)
        # The lower level: one step of gradient descent on the soft labels.
        gradient = feedback_gradient(student, params, inputs, targets.detach())
        updated = {name: value - LR * gradient[name] for name, value in params.items()}
        # The upper level: how the clean loss after that step depends on the labels.
        feedback = feedback_gradient(student, updated, clean_inputs, clean_labels)
        loss = fpmg_loss(student, [params], [inputs], [targets], feedback, LR)
        teacher.zero_grad()
        loss.backward()
        teacher.step()
        params = updated
    return (given == true).float().mean().item(), (labels.argmax(dim=1) == true).float().mean().item()


if __name__ == "__main__":
    given, learned = learn_labels(seed=0)
    print(f"right labels: {given:.0%} given, {learned:.0%} learned")
