"""A PettingZoo environment that some lines of one's own make: SysAdmin of the package cognac (which needs Python 3.12).

Three machines in a ring wear out and infect their neighbours; each has an administrator who sees its machine alone, and may
start it anew. The team earns one for each job that is done.

    dadc run pettingzoo:launch/examples/machines.py:parallel_env --updates 60
"""

from typing import Any

import numpy as np


def parallel_env(agents: int = 3, max_steps: int = 50) -> Any:
    """Its neighbours are given as an array, which no literal on a command line is."""
    from cognac.env import SysAdminNetworkEnvironment

    return SysAdminNetworkEnvironment(np.roll(np.eye(agents), 1, axis=1) * 0.4, max_steps=max_steps)
