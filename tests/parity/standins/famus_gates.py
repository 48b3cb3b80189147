"""FaMUS's gates: 1 multiplies a gradient, 0 lets its value through but no derivative; the last one is penalised."""

from torch import nn


class GradGumbelSoftmax(nn.Module):
    def __init__(self, inputs, hidden, input_norm):
        super().__init__()
        self.linear1, self.relu1 = nn.Linear(inputs, hidden), nn.PReLU()
        self.linear2, self.relu2, self.act = nn.Linear(hidden, hidden), nn.PReLU(), nn.Linear(hidden, 2)

    def params(self):
        return self.parameters()

    def forward(self, seen):
        seen = (seen - seen.mean()) / (((seen - seen.mean()) ** 2).sum() / (seen.numel() - 1)).sqrt()
        return gumbel_softmax(self.act(self.relu2(self.linear2(self.relu1(self.linear1(seen))))))


def _compute_gated_grad(gradients, gates, last, wanted):
    low, gated, top = gradients[:-last], gradients[-last:-2], gradients[-2:]
    passed = [gradient.detach() for gradient in low]
    for gradient, gate in zip(gated, gates, strict=True):
        state = gate(gradient.detach().reshape(len(gradient), -1).sum(dim=1).unsqueeze(0))[0, 1]
        passed.append(state * gradient if state > 0.5 else (1 - state) * gradient.detach())
    return [*passed, *top], (state - wanted) ** 2
