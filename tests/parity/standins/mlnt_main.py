"""MLNT's loop, one label set after the other; networks, optimiser and losses are globals, as in the public script."""

import math

import torch


def train(epoch):
    global init
    for images, labels in train_loader:
        optimizer.zero_grad()
        logits = net(images)
        criterion(logits, labels).backward(retain_graph=True)
        late = epoch > 1
        progress = 1 if late else -args.start_iter / (args.mid_iter - args.start_iter)
        average(0 if init else (0.999 if late else args.eps))
        init = False
        features = pretrain_net(images, get_feat=True)[1]
        wanted = tch_net(images).detach().softmax(dim=1)
        total = 0
        for _ in range(args.num_fast):
            replaced = with_neighbours(features, labels)
            named = dict(net.named_parameters())
            gradients = torch.autograd.grad(
                criterion(logits, replaced), tuple(named.values()), create_graph=True, retain_graph=True
            )
            ahead = {
                name: value - args.meta_lr * gradient
                for (name, value), gradient in zip(named.items(), gradients, strict=True)
            }
            divergence = wanted * (wanted.log() - net(images, ahead).log_softmax(dim=1))
            total = total + divergence.mean()
        (args.alpha * math.exp(-5 * (1 - progress) ** 2) * total / args.num_fast).backward()
        optimizer.step()


@torch.no_grad()
def average(decay):
    for teacher, student in zip(tch_net.parameters(), net.parameters(), strict=True):
        teacher.copy_(decay * teacher + (1 - decay) * student)


def with_neighbours(features, labels):
    replaced, order = labels.clone(), torch.randperm(len(labels))
    for i in order[: int(len(labels) * args.perturb_ratio)]:
        nearest = ((features - features[i]) ** 2).sum(dim=1).argsort()
        replaced[i] = labels[nearest[random.randint(1, 10)]]
    return replaced
