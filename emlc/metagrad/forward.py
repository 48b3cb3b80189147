"""The student's forward pass, with Jacobian-vector products at it for later: where time is traded for memory."""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from emlc.metagrad.jvp import dual_jvp
from emlc.metagrad.tape import Tape
from emlc.metagrad.window import Params

Jacobian = Callable[[Params], Tensor]
"""Maps a direction v to ``J_w(log p_w(y | x_i)) v``, shape [n, C]."""

Forward = Callable[[nn.Module, Params, Tensor], tuple[Tensor, Jacobian]]
"""Maps a student, its present parameter values and inputs [n, ...] to its logits [n, C] and their Jacobian."""


def taped(student: nn.Module, params: Params, inputs: Tensor) -> tuple[Tensor, Jacobian]:
    """Keep the activations: a product costs two more forward passes of arithmetic (:mod:`emlc.metagrad.tape`)."""
    tape = Tape(student)
    with tape:
        logits = student(inputs)
    return logits, partial(tape.jvp, logits, params)


def recomputed(student: nn.Module, params: Params, inputs: Tensor) -> tuple[Tensor, Jacobian]:
    """Keep nothing: a product costs three, as in Algorithm 2 (:func:`emlc.metagrad.dual_jvp`)."""
    return student(inputs), partial(dual_jvp, student, params, inputs)


FORWARDS: dict[str, Forward] = {"taped": taped, "recomputed": recomputed}
"""The name a profile uses -> the function."""
