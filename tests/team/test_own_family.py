"""A user's own prescription family: one class, loaded by each agent from its own host, never for a name from the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dadc_net.config import resolve
from dadc_net.errors import UsageError
from dadc_net.exact.streams import seed_bytes
from dadc_net.experiment.simulation import Simulation
from dadc_net.runtime.own_family import family_argument, load_family
from dadc_net.team.families import family_from_plain
from dadc_net.team.prescriptions import PrescriptionFamily, Theta
from dadc_net.team.spaces import FiniteSpace, Space
from dadc_net.team.tasks import TASKS, Task
from tests.team_in_memory import Team

TASK, FAMILY = "tests.team.test_own_family:make_task", "tests.team.test_own_family:Courteous"


@dataclass(frozen=True)
class Courteous(PrescriptionFamily):
    """Whose turn it is transmits what it has; the other one does so with probability 1 / ``courtesy``."""

    courtesy: int

    kind = "courteous"
    name = "courteous"

    @property
    def space(self) -> Space:
        return FiniteSpace((2,))

    @property
    def shape(self) -> tuple[int, int, int]:
        return 2, 2, 2

    def weights(self, theta: Theta) -> NDArray[np.int64]:
        """One action, to wait, where there is no packet; with one, by turns."""
        table = np.zeros((len(theta), *self.shape), dtype=np.int64)
        table[:, :, 0, 0] = self.courtesy
        turn = theta[:, None] == np.arange(2)
        table[:, :, 1, 1] = np.where(turn, self.courtesy, 1)
        table[:, :, 1, 0] = self.courtesy - table[:, :, 1, 1]
        return table

    def to_plain(self) -> dict[str, Any]:
        return {"kind": self.kind, "courtesy": self.courtesy}

    @classmethod
    def from_plain(cls, record: Mapping[str, Any]) -> Courteous:
        return cls(int(record["courtesy"]))


def make_task() -> Task:
    return replace(TASKS["mabc"], name="courteous-radios", families={"courteous": lambda *_: Courteous(9)})


def test_a_team_plays_a_family_that_this_package_does_not_know() -> None:
    config = resolve(TASK, ["learner.num_envs=4", "learner.batch_steps=20", "prescriptions=courteous"], {"updates": 3})
    assert family_argument(config) == FAMILY
    assert family_argument(resolve("mabc")) == family_argument(resolve("demand-response")) == ""
    simulated = Simulation(config, seed_bytes(7), seed_bytes(1)).run().agent_digests
    team = Team(config).run()
    assert {agent: node.learner_digest.hex() for agent, node in team.agents.items()} == simulated


def test_it_is_known_once_its_host_has_loaded_it(monkeypatch: pytest.MonkeyPatch) -> None:
    load_family(FAMILY)
    assert family_from_plain({"kind": "courteous", "courtesy": 9}) == Courteous(9)
    for wrong in ("tests.team.test_own_family:make_task", "tests.team.test_own_family:Nobody", "no.such:thing"):
        with pytest.raises(UsageError, match=r"cannot be loaded|instead of a class"):
            load_family(wrong)
    monkeypatch.delitem(PrescriptionFamily.kinds, "courteous")  # As on a host that was not told of it.
    with pytest.raises(UsageError, match="only from its own --family"):
        family_from_plain({"kind": "courteous", "courtesy": 9})


def test_a_kind_belongs_to_one_class() -> None:
    with pytest.raises(TypeError, match="Name another"):
        type("Impostor", (Courteous,), {"kind": "menu"})
    assert PrescriptionFamily.kinds["menu"].__name__ == "PrescriptionMenu"
