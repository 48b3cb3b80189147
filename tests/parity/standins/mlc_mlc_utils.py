"""Cross-Entropy with distributions."""


def soft_cross_entropy(logits, labels):
    return -(labels * logits.log_softmax(dim=1)).sum() / len(labels)
