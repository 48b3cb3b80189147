"""FaMUS's targets, sample by sample: refined and guessed ones for all samples, also for the pseudo-clean batch."""

import numpy as np
import torch


def convert_train_data(labelled, unlabelled, model, peer, classes, alpha):
    parts = [with_targets(batch, model, peer, classes) for batch in (labelled, unlabelled)]
    return mixmatch([torch.cat(values) for values in zip(*parts, strict=True)], alpha)


def convert_meta_data(batch, model, peer, classes, alpha):
    return mixmatch(with_targets(batch, model, peer, classes), alpha)


@torch.no_grad()
def with_targets(batch, model, peer, classes):
    *views, labels, credits = batch
    own, other = (sum(judge(view).softmax(dim=1) for view in views) / 2 for judge in (model, peer))
    refined = [w * torch.eye(classes)[y] + (1 - w) * p for w, y, p in zip(credits, labels, own, strict=True)]
    guessed = [(p + q) / 2 for p, q in zip(own, other, strict=True)]
    return torch.cat(views), *(torch.stack([sharpened(row) for row in 2 * rows]) for rows in (refined, guessed))


def sharpened(row):
    return torch.stack([p * p for p in row]) / sum(p * p for p in row)


def mixmatch(batch, alpha):
    share = np.random.beta(alpha, alpha)
    share, partners = max(share, 1 - share), torch.randperm(len(batch[0]))
    return tuple(share * whole + (1 - share) * whole[partners] for whole in batch)
