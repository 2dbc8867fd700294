"""Opportunity prescriptions: theta_k is the probability with which agent k gets the opportunity to act if it can.

For agents with two local values and two actions, such as the devices of multi-access broadcast: with local value 0 (no
packet) an agent does nothing; with local value 1 it acts with probability theta_k. The corners of the box [0, 1]^K are the
entries of the menu ``all``. The reward is a polynomial in theta, so that a critic that is quadratic in theta (NAF) has
something to learn; the paper leaves open how theta maps to prescriptions there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import ProtocolError
from dadc_net.team.prescriptions import PrescriptionFamily, Theta
from dadc_net.team.spaces import BoxSpace

_BITS = 30


@dataclass(frozen=True)
class OpportunityFamily(PrescriptionFamily):
    """One probability per agent."""

    kind = "opportunity"

    name: str
    agents: int

    @property
    def space(self) -> BoxSpace:
        """[0, 1]^K."""
        return BoxSpace((0.0,) * self.agents, (1.0,) * self.agents)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.agents, 2, 2

    def weights(self, theta: Theta) -> NDArray[np.int64]:
        whole = 1 << _BITS
        weights = np.zeros((len(theta), *self.shape), dtype=np.int64)
        weights[:, :, 0, 0] = whole
        weights[:, :, 1, 1] = np.rint(theta * math.ldexp(1.0, _BITS)).astype(np.int64)
        weights[:, :, 1, 0] = whole - weights[:, :, 1, 1]
        return weights

    def to_plain(self) -> dict[str, Any]:
        return {"kind": self.kind, "name": self.name, "agents": self.agents}

    @classmethod
    def from_plain(cls, record: Mapping[str, Any]) -> OpportunityFamily:
        """The inverse of ``to_plain``. Raises ProtocolError for anything else."""
        try:
            return cls(str(record["name"]), int(record["agents"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ProtocolError(f"{dict(record)!r} does not describe an opportunity family: {error}") from error
