"""A whole team in one process, one batch after the other: by tables, where the team can be written down in them.

Within a batch no parameter changes, so that acting, moving and seeing are numbers that a kernel looks up: no record, no
array of a lock-step's own, and the same bits. ``ValueTeam`` does what cannot be done so: the first record, batches with
uniform prescriptions, and the first batch that a kernel might play. That one is played both ways and compared, down to the
last bit; only then is the kernel believed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dadc_net.coordinator.coordinator import Coordinator, OpenBatch
from dadc_net.errors import InvariantError
from dadc_net.exact.entering import Rows
from dadc_net.exact.playing import can_play, play
from dadc_net.experiment.simulated_team import Turn, ValueTeam
from dadc_net.node.agent.passive_agents import PassiveAgents
from dadc_net.node.server.world import World
from dadc_net.runtime.batch_reward import BatchReward
from dadc_net.team.spaces import FiniteSpace
from dadc_net.team.structures.structure import JointStep
from dadc_net.team.tables import TeamTables

Numbers = NDArray[np.int64]


class Standing(NamedTuple):
    """Where a team stands after a record; a kernel moves it."""

    states: Numbers
    """[E] the environment's, by number"""
    ages: Numbers
    """[E] steps since each copy began, at the next record; 0: it begins there"""
    before: Numbers
    """[E] what happened on the way to this record, by number"""
    local: Numbers
    """[E, K] local information, by number"""
    actions: Numbers
    """[E, K] the last ones"""


class TableTeam:
    """One coordinator, passive agents and a world, all of them in tables."""

    def __init__(
        self,
        world: World,
        coordinator: Coordinator,
        passive: PassiveAgents,
        reward: BatchReward,
        tables: TeamTables,
        digests: bool = False,
    ) -> None:
        """``reward`` is shown every record but the first; ``digests``: whether updates are told with digests."""
        self._values = ValueTeam(world, coordinator, passive, reward, digests)
        self._world, self._coordinator, self._passive, self._reward = world, coordinator, passive, reward
        self._tables, self._digests = tables, digests
        self._standing: Standing | None = None
        """None: the kernel is not believed yet."""

    def first(self) -> Turn:
        """Record 0."""
        return self._values.first()

    def advance(self) -> Turn:
        """Take in the record that follows, or all up to the one that closes the batch."""
        if not can_play(self._world.copies):
            return self._by_values()
        batch = self._coordinator.open_batch()
        if batch is None:
            return self._by_values()
        if self._standing is None:
            return self._compared(batch)
        self._play(batch, batch.rows, batch.ais, self._standing)
        rows, row = batch.rows, batch.row + 1
        self._reward.note_all(rows.rewards[row:], rows.keep[row:])
        chosen, _, report = self._coordinator.close_batch(batch.ais, self._digests)
        return Turn(batch.step - batch.row + len(rows.drawn), (report,), chosen is None)

    def _by_values(self) -> Turn:
        if self._standing is not None:
            raise InvariantError("a team that was played by tables cannot be any more")
        return self._values.advance()

    def _play(self, batch: OpenBatch, rows: Rows, ais: NDArray[np.float64], standing: Standing) -> None:
        first, count, copies = batch.step - batch.row, len(rows.drawn), self._world.copies
        words = self._coordinator.stream.words_over(first, count, copies, 1)[:, :, 0]
        draws = self._world.draws(first + 1, count)
        tables = tuple(self._tables.world), self._tables.team(batch.codes)
        play(batch.act, batch.row, rows, ais, words, draws, tuple(standing), tables)

    def _compared(self, batch: OpenBatch) -> Turn:
        """Play a batch record by record, and then as a kernel does.

        Raises:
            InvariantError: if they differ.
        """
        standing, ais, newest, first = self._stand(), batch.ais.copy(), batch, batch.row + 1
        by_kernel = batch.rows.emptied(first)
        turn = self._values.advance()
        while turn.reports[0] is None:
            newest = self._coordinator.open_batch() or newest
            turn = self._values.advance()
        if turn.is_last:
            return turn
        self._play(batch, by_kernel, ais, standing)
        # Closing a batch touches its row 0 alone. The agents have acted once more since, but seen nothing.
        reached = self._stand()
        compared = ais, *standing[:-1], *by_kernel.after(first)
        with_records = newest.ais, *reached[:-1], *batch.rows.after(first)
        if any(mine.tobytes() != other.tobytes() for mine, other in zip(compared, with_records, strict=True)):
            raise InvariantError(
                "a batch that was played by tables differs from the same batch record by record. Its update came from the "
                "records. Set DADC_FAST=0 to do without compiled kernels, and report this."
            )
        self._standing = reached
        return turn

    def _stand(self) -> Standing:
        """Where the world and the agents are after a record."""
        world, own, problem = self._world.state(), self._passive.snapshot(), self._world.problem
        spec, part = problem.environment.spec, "environment/"
        inside = {name[len(part) :]: value for name, value in world.items() if name.startswith(part)}
        newest = max(int(name.split("/")[1]) for name in world if name.startswith("history/"))
        joint = JointStep(*(world[f"history/{newest}/{name}"] for name in JointStep._fields))
        local = np.zeros((self._world.copies, spec.num_agents), dtype=np.int64)
        actions = np.zeros_like(local)
        for index, agents in enumerate(self._passive.groups):
            agent = spec.agents[agents[0] - 1]
            space = problem.structure.local_space(agent.observation_space, agent.action_space)
            columns = [number - 1 for number in agents]
            shape = len(agents), self._world.copies
            if not isinstance(space, FiniteSpace):
                raise InvariantError(f"local information of {space} was to stand in a table")
            local[:, columns] = space.index(own[f"private/{index}/local"]).reshape(shape).T
            actions[:, columns] = own[f"private/{index}/action"].reshape(shape).T
        tables = self._tables
        return Standing(tables.state_numbers(inside), world["clock/ages"] + 1, tables.happened(joint, spec), local, actions)
