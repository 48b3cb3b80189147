"""SupContrast's loss of two views, anchor by anchor."""

import torch


class SupConLoss:
    def __init__(self, temperature):
        self.temperature = temperature

    def __call__(self, features):
        views = torch.cat([features[:, 0], features[:, 1]])
        n = len(features)
        losses = []
        for i, anchor in enumerate(views):
            likeness = torch.stack([(anchor * other).sum() / self.temperature for other in views])
            others = torch.cat([likeness[:i], likeness[i + 1 :]])
            losses.append(others.exp().sum().log() - likeness[(i + n) % (2 * n)])
        return self.temperature / 0.07 * sum(losses) / len(losses)
