"""How much one student step weighs in w(t+1): the scalar adjoint of SGD with momentum and weight decay."""


def step_weights(k: int, lr: float, momentum: float, weight_decay: float, curvature: float) -> list[float]:
    """Return the weight of each of the last k gradients in w(t+1), oldest first.

    SGD is ``v <- mu v + g + wd w; w <- w - lr v``. Its adjoint runs backwards over the steps; replacing the training
    Hessian by ``curvature`` times the identity makes it a recursion of two scalars: l = dL/dw and b = dL/dv,
    both in units of the feedback gradient.

    Special cases: ``momentum = weight_decay = 0, curvature = 1`` gives ``lr (1 - lr)^j``, the discount of
    Proposition 2; ``weight_decay = curvature = 0`` gives ``lr (1 - mu^(j+1)) / (1 - mu)``, j = 0 for the newest step.

    Parameters
    ----------
    k : int
        Number of steps, at least 1.
    lr, momentum, weight_decay : float
        Of the student's SGD.
    curvature : float
        h in "training Hessian = h I": 0 ignores it, 1 is the paper's assumption.
    """
    weights = []
    sensitivity, carried = 1.0, 0.0
    for _ in range(k):
        carried = momentum * carried - lr * sensitivity
        sensitivity += (curvature + weight_decay) * carried
        weights.append(-carried)
    return weights[::-1]
