"""C2D's losses."""


class SemiLoss:
    def __call__(self, hard_logits, hard_targets, soft_logits, soft_targets, epoch, warm_up, lambda_u):
        hard = -(hard_targets * hard_logits.log_softmax(dim=1)).sum() / len(hard_logits)
        soft = (soft_logits.softmax(dim=1) - soft_targets).square().mean()
        return hard, soft, lambda_u * max(0.0, min(1.0, (epoch - warm_up) / 16))


class NegEntropy:
    def __call__(self, logits):
        return (logits.softmax(dim=1) * logits.log_softmax(dim=1)).sum() / len(logits)
