"""SupContrast's schedule; epochs count from 1."""

import math


def adjust_learning_rate(options, optimiser, epoch):
    optimiser.param_groups[0]["lr"] = cosine(options, epoch)


def warmup_learning_rate(options, epoch, step, steps, optimiser):
    if epoch <= 10:
        share = ((epoch - 1) * steps + step) / (10 * steps)
        optimiser.param_groups[0]["lr"] = 0.01 + share * (cosine(options, 10) - 0.01)


def cosine(options, epoch):
    end = options.learning_rate / 1000
    return end + (options.learning_rate - end) * math.cos(math.pi * epoch / options.epochs / 2) ** 2
