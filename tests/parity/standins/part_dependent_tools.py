"""Part-dependent noise, class by class of each image."""

import math

import numpy as np


def get_instance_noisy_label(n, dataset, labels, num_classes, feature_size, norm_std, seed):
    np.random.seed(seed)
    cut = stats.truncnorm(-n / norm_std, (1 - n) / norm_std, loc=n, scale=norm_std)
    flips = cut.rvs(len(labels))
    projections = np.random.randn(num_classes, feature_size, num_classes)
    noisy = []
    for (image, label), flip in zip(dataset, flips, strict=True):
        others = [c for c in range(num_classes) if c != label]
        pulls = {c: sum(image.numpy() * projections[label][:, c]) for c in others}
        powers = {c: math.exp(pull - max(pulls.values())) for c, pull in pulls.items()}
        row = [flip * powers[c] / sum(powers.values()) if c != label else 1 - flip for c in range(num_classes)]
        noisy.append(np.random.choice(num_classes, p=row))
    return np.array(noisy)
