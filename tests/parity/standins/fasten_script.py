"""FasTEN's loop, sample by sample; `relabels` is the memory of labels in use."""


def train(epoch, network, optimiser, noisy, clean, args):
    for images, given, indices in noisy:
        clean_images, clean_labels = next(iter(clean))
        (noisy_head, clean_head), (noisy_of_clean, clean_of_clean) = network(images), network(clean_images)
        in_use = torch.tensor([relabels[i] for i in indices.tolist()])
        for i, probabilities, label in zip(indices.tolist(), clean_head.softmax(dim=1), given, strict=True):
            best = probabilities.argmax()
            relabels[i] = best if probabilities[best] >= args.thres_upper else label
        rows = noisy_of_clean.detach().softmax(dim=1)
        matrix = torch.stack([rows[clean_labels == c].mean(dim=0) for c in range(args.num_classes)])
        corrected = [
            -torch.log(sum(p[c] * matrix[c, label] for c in range(args.num_classes)) + 1e-7)
            for p, label in zip(clean_head.softmax(dim=1), in_use, strict=True)
        ]
        on_clean = F.cross_entropy(clean_of_clean, clean_labels, reduction="none")
        loss = torch.cat([torch.stack(corrected), on_clean]).mean()
        optimiser.zero_grad()
        (loss + args.lambda_n * F.cross_entropy(noisy_head, in_use)).backward()
        optimiser.step()
