"""MSLG's training, the virtual step differentiated as it is written; everything but the rates is a global."""

import numpy as np
import torch
from torch.nn import functional as F


def metapencil(alpha, beta, gamma, warm_up, epochs, certainty):
    net.train()
    vectors = torch.cat([certainty * torch.eye(NUM_CLASSES)[labels] for _, labels in train_dataloader])
    clean = iter(meta_dataloader)
    for epoch in range(epochs):
        for number, (images, labels) in enumerate(train_dataloader):
            rows = slice(number * BATCH_SIZE, number * BATCH_SIZE + len(labels))
            logits = net(images)
            loss = F.cross_entropy(logits, labels)
            if epoch >= warm_up:
                clean_batch = next(clean, None)
                if clean_batch is None:
                    clean = iter(meta_dataloader)
                    clean_batch = next(clean)
                vectors[rows] -= beta * label_gradient(logits, vectors[rows].clone(), alpha, *clean_batch)
                log_p = logits.log_softmax(dim=1)
                loss = divergence(logits, vectors[rows].clone()) - gamma * (log_p.exp() * log_p).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    np.save(log_dir + "y.npy", vectors.numpy())


def label_gradient(logits, vectors, alpha, images, labels):
    vectors.requires_grad_()
    named = dict(net.named_parameters())
    steps = torch.autograd.grad(divergence(logits, vectors), list(named.values()), create_graph=True)
    ahead = {name: value - alpha * step for (name, value), step in zip(named.items(), steps, strict=True)}
    return torch.autograd.grad(F.cross_entropy(net(images, ahead), labels), vectors, retain_graph=True)[0]


def divergence(logits, vectors):
    """Mean over samples and classes; `softmax` is the script's, which a comparison may replace."""
    log_p = logits.log_softmax(dim=1)
    return (log_p.exp() * (log_p - torch.log(softmax(vectors) + 1e-10))).mean()
