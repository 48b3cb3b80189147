"""DivideMix's functions for Clothing1M, sample by sample: unlabelled samples are no more than partners."""

import numpy as np
import torch


def warmup(network, optimiser, loader):
    network.train()
    for images, labels, _ in loader:
        logits = network(images)
        descend(optimiser, CEloss(logits, labels) + conf_penalty(logits))


def eval_train(epoch, network):
    network.eval()
    values, paths = [], []
    with torch.no_grad():
        for images, labels, batch_paths in eval_loader:
            values += CE(network(images), labels).tolist()
            paths += batch_paths
    losses = torch.tensor([[(value - min(values)) / (max(values) - min(values))] for value in values])
    model = GaussianMixture(2, max_iter=10, tol=0.01, reg_covar=0.0005).fit(losses)
    return model.predict_proba(losses)[:, model.means_.argmin()], paths


def train(epoch, network, peer, optimiser, labelled, unlabelled):
    network.train(), peer.eval()
    for (*views, labels, credits), others in zip(labelled, unlabelled, strict=True):
        with torch.no_grad():
            guesses = [judge(view).softmax(dim=1) for judge in (network, peer) for view in others[-2:]]
            own = sum(network(view).softmax(dim=1) for view in views[-2:]) / 2
        refined = [w * torch.eye(args.num_class)[y] + (1 - w) * p for w, y, p in zip(credits, labels, own, strict=True)]
        targets = [sharpened(row) for row in (*refined, *refined)]
        targets += 2 * [sharpened(row) for row in sum(guesses) / 4]
        share = np.random.beta(args.alpha, args.alpha)
        images, targets = mixed(torch.cat([*views[:2], *others[:2]]), torch.stack(targets), max(share, 1 - share))
        logits = network(images[: 2 * len(labels)])
        entropies = -(targets[: 2 * len(labels)] * logits.log_softmax(dim=1)).sum(dim=1)
        descend(optimiser, entropies.mean() + from_uniform(logits))


def mixed(images, targets, share):
    partners = torch.randperm(len(images))
    return tuple(share * whole + (1 - share) * whole[partners] for whole in (images, targets))


def sharpened(row):
    powers = [p ** (1 / args.T) for p in row]
    return torch.stack(powers) / sum(powers)


def from_uniform(logits):
    mean = logits.softmax(dim=1).mean(dim=0)
    return sum(-torch.log(p * len(mean)) / len(mean) for p in mean)


def descend(optimiser, loss):
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


class NegEntropy:
    def __call__(self, logits):
        return (logits.softmax(dim=1) * logits.log_softmax(dim=1)).sum() / len(logits)
