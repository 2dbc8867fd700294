"""Where the transport's threads of a team on one machine stay, where it has fewer cores than the team has processes.

A message goes from a main thread to the thread that sends it, over to one that receives it, and on to another main thread.
Whoever looks for an idle core at each of these steps has to wake one up, which can take ten times as long as going on with
the next thread on the same one. So the thread that sends and receives stays on one core in each process. The main threads,
and whatever an environment starts, run where the system puts them.

With more than two processes to a core none is idle, and with a core for each of them nobody has to share: then the system
decides alone.

Agents are told of a record in turn. The first one's thread is not on the server's core, so that it works while the others
are told.
"""

from __future__ import annotations

import os


class Placement:
    """Cores for the server and K agents."""

    def __init__(self, num_agents: int) -> None:
        found = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        self._cores = found if 1 < len(found) <= num_agents < 2 * len(found) else []
        """Empty where everything is left to the system."""
        self._first = os.getpid()
        """So that teams which run beside one another may begin at different cores."""

    def core(self, agent: int) -> int | None:
        """Of ``agent`` (1 .. K), or of the server (0); None: any."""
        return self._cores[(self._first + agent) % len(self._cores)] if self._cores else None
