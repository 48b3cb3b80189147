"""Our methods against their official code: one adapter per method, and what adapters share.

Nothing of the official code is part of this suite. Whoever wants the comparison clones the repositories; their
functions are loaded from there, run in float64 on our weights and batches, and forgotten.
"""
