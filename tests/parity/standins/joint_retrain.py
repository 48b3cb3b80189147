"""Joint-Optim's second training, on soft labels."""


def train(loader, model, optimiser, epoch, use_cuda):
    for images, _, soft, _ in loader:
        log_p = model(images).log_softmax(dim=1)
        optimiser.zero_grad()
        (-sum(label @ row for label, row in zip(soft, log_p, strict=True)) / len(soft)).backward()
        optimiser.step()


def adjust_learning_rate(optimiser, epoch):
    parts = sum(epoch >= args.epochs * third // 3 for third in (1, 2))
    for group in optimiser.param_groups:
        group["lr"] = state["lr"] * 0.1**parts
