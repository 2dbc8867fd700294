"""Negative controls: break one replica on purpose and see that it is caught, at the right step.

flip-bit      the last mantissa bit of one weight of the state approximator; where it has none, of the first weight
sqrt-ulp      the square roots of one optimiser are one ulp too large (most such errors are lost in rounding: a single
              one would usually change nothing, and then there is nothing to catch)
shift-stream  the coordinator stream is read one lock-step ahead, from the given step on
torch-sqrt    every optimiser square root comes from torch.sqrt, which is not IEEE everywhere
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import UsageError
from dadc_net.exact.array import Array
from dadc_net.exact.streams import Stream
from dadc_net.schema import closest

if TYPE_CHECKING:
    from dadc_net.node.agent.replica import Replica

KINDS = ("flip-bit", "sqrt-ulp", "shift-stream", "torch-sqrt")
_WEIGHT = "encoder.recurrent.weight"


class _AheadStream(Stream):
    """A stream that is one lock-step ahead."""

    def words(self, step: int, copies: int, draws: int) -> NDArray[np.uint64]:
        return super().words(step + 1, copies, draws)

    def normals(self, step: int, copies: int, draws: int) -> NDArray[np.float64]:
        return super().normals(step + 1, copies, draws)


def _one_ulp_up(x: Array) -> Array:
    result: Array = np.nextafter(np.sqrt(x), np.inf)
    return result


def _torch_root(x: Array) -> Array:
    import torch

    result: Array = torch.sqrt(torch.from_numpy(x)).numpy()
    return result


@dataclass(frozen=True)
class Sabotage:
    """Breaks a replica right before record ``step``; given to an agent as its ``tamper``."""

    kind: str
    step: int

    def __call__(self, replica: Replica, step: int) -> None:
        """Do it, if this is the step."""
        if step != self.step:
            return
        coordinator = replica.coordinator
        adams = [group.adam for group in coordinator.groups]
        if self.kind == "flip-bit":
            arrays = next(group.arrays for group in coordinator.groups if group.arrays)
            bits = arrays.get(_WEIGHT, next(iter(arrays.values()))).view(np.uint64)
            bits[(0,) * bits.ndim] ^= np.uint64(1)
        elif self.kind == "sqrt-ulp":
            adams[1].square_root = _one_ulp_up
        elif self.kind == "torch-sqrt":
            for adam in adams:
                adam.square_root = _torch_root
        else:
            coordinator.stream.__class__ = _AheadStream


def parse(text: str) -> tuple[int, Sabotage]:
    """``AGENT:KIND@STEP`` -> (agent, sabotage). Raises UsageError when it is not of that form."""
    agent, _, rest = text.partition(":")
    kind, _, step = rest.partition("@")
    if kind not in KINDS or not agent.isdigit() or not step.isdigit():
        raise UsageError(
            f"--break {text!r} is not of the form AGENT:KIND@STEP. {closest(kind, KINDS)} Write --break 2:flip-bit@100."
        )
    return int(agent), Sabotage(kind, int(step))


def parse_all(texts: Sequence[str], num_agents: int, last_step: int) -> dict[int, Sabotage]:
    """Of a team and a run of this size. Raises UsageError also for what would never happen."""
    found: dict[int, Sabotage] = {}
    for text in texts:
        agent, sabotage = parse(text)
        if not 1 <= agent <= num_agents or sabotage.step > last_step or agent in found:
            raise UsageError(
                f"--break {text!r} would break nothing. The run has the agents 1 to {num_agents} and the records 0 to "
                f"{last_step}, and each agent is broken once. Name one of those."
            )
        found[agent] = sabotage
    return found
