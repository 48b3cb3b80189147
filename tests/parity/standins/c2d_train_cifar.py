"""C2D's loop: the second network's division comes after the first one's training, and the warm-up's losses count."""

import torch


def eval_train(network, loader, loss, history, epoch, number, device, r, log):
    network.eval()
    by_sample = {}
    with torch.no_grad():
        for images, _, labels, indices, _ in loader:
            by_sample |= dict(zip(indices.tolist(), loss(network(images), labels).tolist(), strict=True))
    values = torch.tensor([by_sample[i] for i in range(len(by_sample))])
    history.append((values - values.min()) / (values.max() - values.min()))
    averaged = history[-5:] if r >= 0.9 else history[-1:]
    losses = (sum(averaged) / len(averaged)).unsqueeze(1)
    model = GaussianMixture(2, max_iter=200, tol=0.01, reg_covar=0.0005).fit(losses)
    return model.predict_proba(losses)[:, model.means_.argmin()], history, values


def run_train_loop(
    first, first_optimiser, _, second, second_optimiser, __, criterion, loss, losses, loader, threshold, warm_up,
    epochs, histories, size, classes, device, lambda_u, T, alpha, noise, dataset, r, penalty, *logs,
):  # fmt: skip
    pairs = (first, second, first_optimiser), (second, first, second_optimiser)
    for epoch in range(epochs + 1):
        if epoch < warm_up:
            given = loader.run("warmup")
            for network, _, optimiser in pairs:
                warmup(epoch, network, optimiser, given, loss, penalty, device, dataset, r, epochs, noise)
        for turn, (network, peer, optimiser) in enumerate(pairs):
            arguments = loader.run("eval_train"), losses, histories[1 - turn], epoch, 2 - turn, device, r, logs[0]
            credibility, histories[1 - turn], _ = eval_train(peer, *arguments)
            least, most = credibility.min() + 1e-5, credibility.max() - 1e-5
            loaders = loader.run("train", credibility > min(max(threshold, least), most), credibility)
            if epoch >= warm_up:
                train(
                    epoch, network, peer, criterion, optimiser, *loaders, lambda_u, size, classes, device, T, alpha,
                    warm_up, dataset, r, noise, epochs,
                )  # fmt: skip
