"""A hard draw by the Gumbel trick that is differentiated as a soft one."""

import torch


def gumbel_softmax(logits, temperature=5):
    noise = -torch.log(-torch.log(torch.cuda.FloatTensor(logits.size()).uniform_()))
    soft = ((logits + noise) / temperature).softmax(dim=1)
    hard = (soft == soft.max()).to(soft.dtype)
    return hard + soft - soft.detach()
