"""MSLC's loop with hard labels; 1-based epochs, Cross-Entropy before the 80th."""

import copy

import numpy as np
import torch
from torch.nn import functional as F


def train(noisy, clean, model, alpha, beta, optimiser, alpha_optimiser, beta_optimiser, epoch):
    results = np.zeros((len(noisy.dataset), num_classes), np.float32)
    for ((images, _), labels, _, soft, indices), (clean_images, clean_labels) in zip(noisy, clean, strict=True):
        logits = model(images) if epoch < 80 else None
        if logits is None:
            ahead = copy.deepcopy(model)
            loss = mixed_loss(ahead(images), labels, soft, alpha, beta)[0]
            gradients = torch.autograd.grad(loss, list(ahead.params()), create_graph=True)
            ahead.update_params(args.lr, gradients)
            for mixing in (alpha_optimiser, beta_optimiser):
                mixing.zero_grad()
            F.cross_entropy(ahead(clean_images), clean_labels).backward()
            for mixing in (alpha_optimiser, beta_optimiser):
                mixing.step()
            logits = model(images)
            loss, a, b = mixed_loss(logits, labels, soft, alpha, beta)
            one_hot, mixed = torch.eye(num_classes)[labels], b * soft + (1 - b) * logits.softmax(dim=1)
            kept = a * one_hot + (1 - a) * mixed
        else:
            loss, kept = F.cross_entropy(logits, labels), logits.softmax(dim=1)
        results[indices.numpy()] = kept.detach().numpy()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    noisy.dataset.label_update(results)


def mixed_loss(logits, labels, soft, alpha, beta):
    """Cross-Entropy with the mixture of given, remembered and predicted class, and both coefficients."""
    classes = labels, soft.argmax(dim=1), logits.argmax(dim=1)
    given, remembered, predicted = (F.cross_entropy(logits, c, reduction="none").unsqueeze(1) for c in classes)
    a, b = alpha(given.detach()), beta(remembered.detach())
    return (a * given + (1 - a) * (b * remembered + (1 - b) * predicted)).mean(), a.detach(), b.detach()
