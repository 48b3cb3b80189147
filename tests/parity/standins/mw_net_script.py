"""MW-Net's loop: the virtual step differentiated as it is written."""

import copy

import torch
from torch.nn import functional as F


def train(noisy, clean, model, weigh, optimiser, weigh_optimiser, epoch):
    for (images, labels), (clean_images, clean_labels) in zip(noisy, clean, strict=True):
        ahead = copy.deepcopy(model)
        loss = weighted(ahead(images), labels, weigh)
        weights = list(ahead.params())
        ahead.update_params(args.lr, torch.autograd.grad(loss, weights, create_graph=True))
        weigh_optimiser.zero_grad()
        F.cross_entropy(ahead(clean_images), clean_labels).backward()
        weigh_optimiser.step()
        optimiser.zero_grad()
        weighted(model(images), labels, weigh).backward()
        optimiser.step()


def weighted(logits, labels, weigh):
    losses = -logits.log_softmax(dim=1)[range(len(labels)), labels]
    return (weigh(losses.detach().unsqueeze(1)).squeeze(1) * losses).mean()
