"""SANM's functions, sample by sample, with places among 256 levels; six views, of which the last two are analysed."""

import random

import numpy as np
import torch


def warmup(epoch, network, optimiser, loader):
    network.train()
    for images, labels, _ in loader:
        logits = network(images)[2]
        optimiser.zero_grad()
        loss = CEloss(logits, labels)
        (loss + conf_penalty(logits) if args.noise_mode == "asym" else loss).backward()
        norm = sum(weight.grad.square().sum() for weight in network.parameters() if weight.grad is not None).sqrt()
        for weight in network.parameters():
            if weight.grad is not None:
                weight.grad *= min(1.0, 1 / (norm + 1e-6))
        optimiser.step()


def eval_train(network, history):
    network.eval()
    by_sample = {}
    with torch.no_grad():
        for images, labels, indices in eval_loader:
            by_sample |= dict(zip(indices.tolist(), CE(network(images)[2], labels).tolist(), strict=True))
    values = torch.tensor([by_sample[i] for i in range(len(by_sample))])
    losses = ((values - values.min()) / (values.max() - values.min())).unsqueeze(1)
    model = GaussianMixture(2, max_iter=10, tol=0.01, reg_covar=0.0005).fit(losses)
    return model.predict_proba(losses)[:, model.means_.argmin()], [*history, losses]


def train(epoch, network, peer, optimiser, labelled, unlabelled):
    network.train(), peer.eval()
    steps = len(labelled.dataset) // args.batch_size + 1
    for step, ((*views, labels, _, w), (*others, u)) in enumerate(zip(labelled, unlabelled, strict=True)):
        with torch.no_grad():
            seen = [judge(view, return_map=True) for judge in (network, peer) for view in others[-2:]]
            own = [network(view, return_map=True) for view in views[-2:]]
        guesses = [scores.softmax(dim=1) for _, _, scores in seen]
        predicted, maps = sum(scores.softmax(dim=1) for _, _, scores in own) / 2, torch.cat([own[0][0], seen[0][0]])
        refined = [c * torch.eye(args.num_class)[y] + (1 - c) * p for c, y, p in zip(w, labels, predicted, strict=True)]
        targets = torch.stack([sharpened(row) for row in (*refined, *(sum(guesses) / 4))])
        images, count = torch.cat([views[-2], others[-2]]), len(labels)
        masks = [masked(*sample) for sample in zip(images, maps, torch.cat([w, u]), targets, strict=True)]
        peaks, valleys, lower = (torch.stack(values) for values in zip(*masks, strict=True))
        restored = network(torch.cat([peaks, valleys]), recon=True)
        restoration = (restored - torch.cat([images, images])).square().mean() * 2
        parts = slice(0, count), slice(count, None)
        learned = [(*some[:4], peaks[part], valleys[part]) for some, part in zip((views, others), parts, strict=True)]
        with_targets = [[targets[part]] * 4 + [lower[part]] * 2 for part in parts]
        inputs, wanted = torch.cat([*learned[0], *learned[1]]), torch.cat([*with_targets[0], *with_targets[1]])
        share = np.random.beta(args.alpha, args.alpha)
        share, partners = max(share, 1 - share), torch.randperm(len(inputs))
        inputs, wanted = (share * whole + (1 - share) * whole[partners] for whole in (inputs, wanted))
        logits, half = network(inputs)[2], 6 * count
        entropies = -(wanted[:half] * logits[:half].log_softmax(dim=1)).sum(dim=1)
        squares = (logits[half:].softmax(dim=1) - wanted[half:]).square()
        ramp = min(1.0, (epoch + step / steps - warm_up) / 16)
        mean = logits.softmax(dim=1).mean(dim=0)
        loss = entropies.mean() + args.lambda_u * ramp * squares.mean() - torch.log(mean * len(mean)).mean()
        optimiser.zero_grad()
        (loss + 0.02 * restoration).backward()
        optimiser.step()


def masked(image, maps, credit, target):
    """Return an image masked at the peak and at the valley, and its lowered target."""
    height, width = image.shape[1:]
    strong = cv2.resize((maps**2).sum(dim=0).numpy(), (width, height))
    levels = np.uint8(np.floor(255 * (strong - strong.min()) / (strong.max() - strong.min() + 1e-12)))
    amount = random.uniform(0.02, 0.07) + 0.03 * (1 - credit)
    aspect, area = random.uniform(0.8, 1.25), 0.5 * amount * height * width
    sides = [round(float(area * aspect) ** 0.5), round(float(area / aspect) ** 0.5)]
    copies = []
    for place in (levels.argmax(), levels.argmin()):
        corner = [int(at) for at in divmod(place, width)]
        top, left = min(corner[0], height - sides[0]), min(corner[1], width - sides[1])
        copies.append(image.clone())
        for channel in range(len(image)):
            copies[-1][channel, top : top + sides[0], left : left + sides[1]] = random.uniform(0, 1)
    lower = [p + amount / (len(target) - 1) for p in target]
    lower[int(target.argmax())] = target.max() - amount
    return *copies, torch.stack(lower)


def sharpened(row):
    powers = [p ** (1 / args.T) for p in row]
    return torch.stack(powers) / sum(powers)


class NegEntropy:
    def __call__(self, logits):
        return (logits.softmax(dim=1) * logits.log_softmax(dim=1)).sum() / len(logits)
