"""One thread for every process of the tests, theirs and those that they start.

Two files are tested at a time, with gateways, workers and browsers of their own; where each took
all cores for small tensors, threads would wait for each other more than they work.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded
