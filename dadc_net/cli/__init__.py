"""The commands: parse, build a configuration, call one function of ``runtime``, show what came out.

One thread per process is pinned here, before NumPy and torch are imported for the first time: a team is many small
processes, and threads that compete for cores only slow them down. Bits do not depend on it.
"""

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
