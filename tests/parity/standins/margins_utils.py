"""Polynomial-margin noise, image by image; types are counted from 0."""

import numpy as np


def label_noise(dataset, eta, type, factor):
    noisy = []
    for row in eta.numpy():
        second, first = np.argsort(row)[-2:]
        gap = row[first] - row[second]
        stays = [(1 + gap**2) / 2, gap**3, (gap + gap**2 + gap**3) / 3][type]
        noisy.append(first if np.random.binomial(1, stays / factor, 1) else second)
    return np.array(noisy), None
