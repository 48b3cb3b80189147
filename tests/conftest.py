"""What holds for every test."""

import os

# Networks of tests are tiny, and several tests run beside each other: more threads than cores wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
