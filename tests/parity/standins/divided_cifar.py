"""DivideMix's functions, sample by sample; the first two views are learned from, the last two analysed (AugDesc)."""

import numpy as np
import torch


def warmup(epoch, network, optimiser, loader):
    network.train()
    for images, labels, _ in loader:
        logits = network(images)
        loss = CEloss(logits, labels)
        descend(optimiser, loss + conf_penalty(logits) if args.noise_mode == "asym" else loss)


def eval_train(network, history):
    network.eval()
    by_sample = {}
    with torch.no_grad():
        for images, labels, indices in eval_loader:
            by_sample |= dict(zip(indices.tolist(), CE(network(images), labels).tolist(), strict=True))
    values = torch.tensor([by_sample[i] for i in range(len(by_sample))])
    history.append((values - values.min()) / (values.max() - values.min()))
    averaged = history[-5:] if args.r == 0.9 else history[-1:]
    losses = (sum(averaged) / len(averaged)).unsqueeze(1)
    model = GaussianMixture(2, max_iter=10, tol=0.01, reg_covar=0.0005).fit(losses)
    return model.predict_proba(losses)[:, model.means_.argmin()], history


def train(epoch, network, peer, optimiser, labelled, unlabelled):
    network.train(), peer.eval()
    steps = len(labelled.dataset) // args.batch_size + 1
    for step, ((*views, labels, credits), others) in enumerate(zip(labelled, unlabelled, strict=True)):
        with torch.no_grad():
            guesses = [judge(view).softmax(dim=1) for judge in (network, peer) for view in others[-2:]]
            own = sum(network(view).softmax(dim=1) for view in views[-2:]) / 2
        refined = [w * torch.eye(args.num_class)[y] + (1 - w) * p for w, y, p in zip(credits, labels, own, strict=True)]
        targets = [sharpened(row) for row in (*refined, *refined)]
        targets += 2 * [sharpened(row) for row in sum(guesses) / 4]
        share = np.random.beta(args.alpha, args.alpha)
        images, targets = mixed(torch.cat([*views[:2], *others[:2]]), torch.stack(targets), max(share, 1 - share))
        logits, count = network(images), 2 * len(labels)
        entropies = -(targets[:count] * logits[:count].log_softmax(dim=1)).sum(dim=1)
        squares = (logits[count:].softmax(dim=1) - targets[count:]).square()
        ramp = min(1.0, (epoch + step / steps - warm_up) / 16)
        descend(optimiser, entropies.mean() + args.lambda_u * ramp * squares.mean() + from_uniform(logits))


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
