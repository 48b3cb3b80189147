"""EMLC's step, one network and one label at a time. Interface and defects are those of the public code."""

import torch
from torch.func import functional_call, jvp
from torch.nn import functional as F


def teacher_backward(args, **given):
    assert args.gradient_steps == 1
    look_ahead(1, **given)


def teacher_backward_ms(args, **given):
    look_ahead(args.gradient_steps, **given)


def look_ahead(
    k, main_net, main_opt, teacher, teacher_opt, enhancer, enhancer_opt, data_s, target_s, data_g, target_g, eta,
    num_classes, injection_mode, mix_g, rank,
):  # fmt: skip
    assert not mix_g
    n = len(data_s)
    logits, features = teacher(torch.cat([data_s, data_g]), return_h=True)
    soft = corrected(enhancer(features[:n], target_s), logits[:n], target_s, num_classes)
    steps = []
    for inputs, labels in zip(data_s.chunk(k), soft.detach().chunk(k), strict=True):
        steps.append((at(main_net), inputs))
        main_opt.zero_grad()
        (-(labels * main_net(inputs).log_softmax(dim=1)).sum(dim=1).mean()).backward()
        main_opt.step()
    main_opt.zero_grad()
    F.cross_entropy(main_net(data_g), target_g).backward()
    feedback = {name: value.grad.clone() for name, value in main_net.named_parameters()}
    products = [
        (1 - eta) ** age * along(main_net, *step, feedback) for age, step in enumerate(reversed(steps))
    ]  # newest first, as the public code lays them beside soft labels that are oldest first
    loss = meta_loss(torch.cat(products), soft, eta) + F.cross_entropy(logits[n:], target_g)
    if injection_mode == "adversarial":
        loss = loss + retaining_loss(enhancer, features[n:], logits[n:], target_g)
    for optimiser in (teacher_opt, enhancer_opt):
        optimiser.zero_grad()
    loss.backward()
    for optimiser in (teacher_opt, enhancer_opt):
        optimiser.step()


def meta_loss(products, soft_labels, lr):
    return lr * (products.detach() * soft_labels).sum() / len(soft_labels)


def corrected(trust, logits, labels, num_classes):
    given = torch.zeros(len(labels), num_classes)
    given[range(len(labels)), labels] = 1
    return trust * given + (1 - trust) * logits.softmax(dim=1)


def retaining_loss(enhancer, features, logits, labels):
    shown = labels.clone()
    for i in range(0, len(labels), 2):
        ranked = logits[i].argsort(descending=True)
        shown[i] = ranked[0] if ranked[0] != labels[i] else ranked[1]
    trust = enhancer(features, shown).flatten()
    kept = shown == labels
    return -torch.where(kept, trust, 1 - trust).log().mean()


def at(network):
    return {name: value.detach().clone() for name, value in network.named_parameters()}


def along(network, weights, inputs, direction):
    """Derivative of log p at some weights along a direction, in forward mode."""

    def log_p(values):
        buffers = {name: value.clone() for name, value in network.named_buffers()}
        return functional_call(network, (values, buffers), (inputs,)).log_softmax(dim=1)

    return jvp(log_p, (weights,), (direction,))[1]
