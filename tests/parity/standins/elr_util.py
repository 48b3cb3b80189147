"""The ramp of ELR+'s weights."""

import math


def sigmoid_rampup(current, rampup_length):
    if not rampup_length:
        return 1.0
    return math.exp(-5 * (max(0, rampup_length - max(current, 0)) / rampup_length) ** 2)
