"""MW-Net's generators and the EMLC code's data set, which shuffles with the global generator whenever it is made."""

import numpy as np


def uniform_mix_C(rate, classes):
    return np.full((classes, classes), rate / classes) + np.diag(np.full(classes, 1 - rate))


def flip_labels_C(rate, classes):
    return flipped(rate, classes, 1)


def flip_labels_C_two(rate, classes):
    return flipped(rate, classes, 2)


def flipped(rate, classes, count):
    np.random.seed(1)
    matrix = np.diag(np.full(classes, 1.0 - rate))
    for c in range(classes):
        others = np.delete(np.arange(classes), c)
        matrix[c, np.random.choice(others, count, replace=False) if count > 1 else np.random.choice(others)] = (
            rate / count
        )
    return matrix


class CIFAR10:
    def __init__(self, meta, num_meta, corruption_prob, corruption_type, seed=1):
        files = [pickle.load(open(f"data_batch_{i}", "rb"), encoding="latin1") for i in range(1, 6)]
        images = np.concatenate([file["data"] for file in files]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        labels = np.concatenate([file["labels"] for file in files])
        mine = []
        for c in range(10):
            members = np.flatnonzero(labels == c).tolist()
            np.random.shuffle(members)
            mine += members[: num_meta // 10] if meta else members[num_meta // 10 :]
        self.train_data, self.train_labels = images[mine], labels[mine]
        if not meta:
            np.random.seed(seed)
            matrix = uniform_mix_C(corruption_prob, 10)
            self.train_labels = [np.random.choice(10, p=matrix[label]) for label in self.train_labels]
