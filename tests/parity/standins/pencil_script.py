"""PENCIL's loop, sample by sample; floor divisions and a second softmax as in the public script."""

import numpy as np
import torch


def train(loader, model, criterion, optimiser, epoch, vectors):
    model.train()
    kept = np.zeros((args.datanum, args.classnum))
    for images, given, indices in loader:
        log_p = model(images).log_softmax(dim=1)
        if epoch < args.stage1:
            loss = criterion(log_p, given)
            kept[indices.numpy()] = 10 * np.eye(10)[given.numpy()]
        else:
            own = torch.tensor(vectors[indices.numpy()], requires_grad=True)
            label = own.exp() / own.exp().sum(dim=1, keepdim=True)
            loss = sum(row.exp() @ (row - y.log()) for row, y in zip(log_p, label, strict=True)) / log_p.numel()
            if epoch < args.stage2:
                uncertainty = -sum(row.exp() @ row for row in log_p) / log_p.numel()
                loss = loss + args.alpha * criterion(label, given) + args.beta * uncertainty
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if args.stage1 <= epoch < args.stage2:
            kept[indices.numpy()] = (own - args.lambda1 * own.grad).detach().numpy()
    if epoch < args.stage2:
        np.save(args.dir + "y.npy", kept)


def adjust_learning_rate(optimiser, epoch):
    third = (args.epochs - args.stage2) // 3
    late = [args.lr2, args.lr2 // 10, args.lr2 // 100]
    for group in optimiser.param_groups:
        group["lr"] = args.lr if epoch < args.stage2 else late[(epoch - args.stage2) // third]
