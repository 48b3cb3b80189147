"""C2D's steps, sample by sample."""

import numpy as np
import torch


def warmup(epoch, network, optimiser, loader, criterion, penalty, *told):
    network.train()
    for images, _, labels, _, _ in loader:
        logits = network(images)
        loss = criterion(logits, labels)
        optimiser.zero_grad()
        (loss if penalty is None else loss + penalty(logits)).backward()
        norm = sum(weight.grad.square().sum() for weight in network.parameters()).sqrt()
        for weight in network.parameters():
            weight.grad *= min(1.0, 1 / (norm + 1e-6))
        optimiser.step()


def train(
    epoch, network, peer, criterion, optimiser, labelled, unlabelled, lambda_u, size, classes, device, T, alpha,
    warm_up, *told,
):  # fmt: skip
    network.train(), peer.eval()
    steps = len(labelled.dataset) // size + 1
    for step, ((*views, labels, _, credits), others) in enumerate(zip(labelled, unlabelled, strict=True)):
        with torch.no_grad():
            guesses = [judge(view).softmax(dim=1) for judge in (network, peer) for view in others]
            own = sum(network(view).softmax(dim=1) for view in views) / 2
        refined = [w * torch.eye(classes)[y] + (1 - w) * p for w, y, p in zip(credits, labels, own, strict=True)]
        targets = torch.stack([sharpened(row, T) for row in (*refined, *refined, *(2 * [*(sum(guesses) / 4)]))])
        share = np.random.beta(alpha, alpha)
        share, partners, images = max(share, 1 - share), torch.randperm(len(targets)), torch.cat([*views, *others])
        images, targets = (share * whole + (1 - share) * whole[partners] for whole in (images, targets))
        count = 2 * len(labels)
        logits = network(images if lambda_u else images[:count])
        loss = -(targets[:count] * logits[:count].log_softmax(dim=1)).sum() / count
        if lambda_u:
            ramped = (epoch + step / steps, warm_up, lambda_u)
            loss, soft, weight = criterion(logits[:count], targets[:count], logits[count:], targets[count:], *ramped)
            loss = loss + weight * soft
        mean = logits.softmax(dim=1).mean(dim=0)
        optimiser.zero_grad()
        (loss + sum(-torch.log(p * classes) / classes for p in mean)).backward()
        optimiser.step()


def sharpened(row, T):
    powers = [p ** (1 / T) for p in row]
    return torch.stack(powers) / sum(powers)
