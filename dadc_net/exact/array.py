"""The one type of numbers on the learner's path; every room above names it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
"""Float64 of any shape; docstrings give the axis letters."""
