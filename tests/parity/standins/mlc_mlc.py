"""MLC's step by double backward, which here too runs while the looked-ahead weights are in the student."""

import torch


def step_hmlc_K(
    student, optimiser, hard_loss, teacher, teacher_optimiser, soft_loss, noisy, noisy_labels, held_out,
    held_out_labels, clean, clean_labels, lr, args,
):  # fmt: skip
    weights = list(student.parameters())
    earlier = torch.autograd.grad(hard_loss(student(held_out), held_out_labels), weights)
    logits, features = student(noisy, return_h=True)
    terms = soft_loss(logits, teacher(features.detach(), noisy_labels)), hard_loss(student(clean), clean_labels)
    sizes = len(noisy_labels), len(clean_labels)
    loss = sum(size * term for size, term in zip(sizes, terms, strict=True)) / sum(sizes)
    gradients = torch.autograd.grad(loss, weights, create_graph=True)
    before = [weight.data for weight in weights]
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.data = weight.data - lr * velocity(optimiser, weight, gradient.detach())
    later = torch.autograd.grad(hard_loss(student(held_out), held_out_labels), weights)
    decay = (1 - lr) * dot(later, earlier) / dot(earlier, earlier)
    teacher_optimiser.zero_grad()
    (-lr * dot(gradients, later)).backward()
    for weight, value, gradient in zip(weights, before, gradients, strict=True):
        weight.data, weight.grad = value, gradient.detach().clone()
    optimiser.step()
    for i, weight in enumerate(teacher.parameters()):
        weight.grad += decay * args.dw_prev[i]
        args.dw_prev[i] = weight.grad.clone()
    if (args.steps + 1) % args.gradient_steps == 0:
        teacher_optimiser.step()
        args.dw_prev = [0] * len(args.dw_prev)


@torch.no_grad()
def velocity(optimiser, weight, gradient):
    group = optimiser.param_groups[0]
    old = optimiser.state[weight].get("momentum_buffer", torch.zeros_like(weight)) if weight in optimiser.state else 0
    return group["momentum"] * old + gradient + group["weight_decay"] * weight


def dot(left, right):
    return sum((a * b).sum() for a, b in zip(left, right, strict=True))
