"""FaMUS's functions, sample by sample."""

import torch


def warmup(model, optimiser, loader, *_):
    for _ in range(args.warmup_epochs):
        model.train()
        for images, labels, _ in loader:
            optimiser.zero_grad()
            (-model(images).log_softmax(dim=1)[range(len(labels)), labels]).mean().backward()
            optimiser.step()


def eval_train(model, loader, history):
    model.eval()
    values = [0.0] * len(loader.dataset)
    with torch.no_grad():
        for images, labels, indices in loader:
            for i, row, label in zip(indices, model(images).log_softmax(dim=1), labels, strict=True):
                values[i] = -row[label].item()
    losses = torch.tensor([[(value - min(values)) / (max(values) - min(values))] for value in values])
    mixture = GaussianMixture(2, max_iter=10, tol=0.01, reg_covar=0.0005).fit(losses)
    return mixture.predict_proba(losses)[:, mixture.means_.argmin()], [*history, losses]


def train_epoch(
    epoch, epochs, model, peer, labelled, unlabelled, pseudo_clean, optimiser, weigh, weigh_optimiser, gates,
    gate_optimisers,
):  # fmt: skip
    model.train(), peer.eval()
    for some, others, clean in zip(labelled, unlabelled, pseudo_clean, strict=True):
        batch = convert_train_data(some, others, model, peer, args.num_classes, args.alpha)
        images, targets, _ = convert_meta_data(clean, model, peer, args.num_classes, args.alpha)
        ahead = build_model(args)
        ahead.load_state_dict(model.state_dict())
        loss = objective(ahead, batch, weigh, epoch)
        gradients = torch.autograd.grad(loss, list(ahead.params()), create_graph=True)
        passed, penalty = _compute_gated_grad(gradients, gates, args.top_k, args.num_act)
        ahead.update_params(lr_inner=optimiser.param_groups[0]["lr"], source_params=passed)
        logits = ahead(images, detach=True)
        entropies = torch.stack([-(t * row.log_softmax(dim=0)).sum() for t, row in zip(targets, logits, strict=True)])
        for meta in (weigh_optimiser, *gate_optimisers):
            meta.zero_grad()
        (entropies.mean() + regularization(logits) + args.act_factor * penalty).backward()
        for meta in (weigh_optimiser, *gate_optimisers):
            meta.step()
        optimiser.zero_grad()
        objective(model, batch, weigh, epoch).backward()
        optimiser.step()


def objective(model, batch, weigh, epoch):
    images, refined, guessed = batch
    logits = model(images)
    hard = torch.stack([-(t * row.log_softmax(dim=0)).sum() for t, row in zip(refined, logits, strict=True)])
    soft = torch.stack([(row.softmax(dim=0) - t).square().mean() for t, row in zip(guessed, logits, strict=True)])
    shares, half = weigh(hard.detach().unsqueeze(1)).flatten(), len(images) // 2
    terms = [*hard[:half], *(get_lambda_u(epoch, rampup_length=args.rampup_length) * soft[half:])]
    return regularization(logits) + 2 * sum(v * term for v, term in zip(shares / shares.sum(), terms, strict=True))


def get_lambda_u(epoch, rampup_length):
    return args.lambda_u * max(0.0, min(1.0, epoch / rampup_length))


def regularization(logits):
    return sum(-torch.log(p * logits.shape[1]) / logits.shape[1] for p in logits.softmax(dim=1).mean(dim=0))


class NegEntropy:
    pass
