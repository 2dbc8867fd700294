"""Records of a team that is written down in tables: a kernel looks up what follows, and writes it as bytes.

The same bits as ``team.lockstep`` and the layouts of ``node.record`` give, in a fraction of the time. Records are made both
ways and compared, and with some of them where the world stands then, until enough of them were equal and a copy has begun
anew in one. Only then are those of the kernel believed, and now and then one is compared again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import InvariantError
from dadc_net.exact.playing import make_record
from dadc_net.node.record import CommonLayout, ObservationLayout
from dadc_net.team.environment import Environment
from dadc_net.team.spaces import FiniteSpace
from dadc_net.team.structures.structure import InformationStructure, JointStep
from dadc_net.team.tables import WorldTables, world_tables

_COMPARED = 64
"""Records that are made both ways at least."""
_STATES_EVERY = 8
"""With one in so many of them the world's state is compared, too, which takes longer."""
_MOST_ENTRIES = 100_000
"""Of one table: filling it must not keep a team from its first record."""

State = Mapping[str, NDArray[Any]]
"""Of ``LockStep.state``."""


class TableSteps:
    """Lock-steps of E copies, and where they stand."""

    def __init__(
        self,
        tables: WorldTables,
        environment: Environment,
        structure: InformationStructure,
        common: CommonLayout,
        codes: tuple[NDArray[Any], ...],
    ) -> None:
        """``codes``: bytes of z and of observations, by number."""
        spec, copies = environment.spec, environment.num_envs
        self._tables, self._spec, self._copies = tables, spec, copies
        self._history_steps = structure.history_steps
        self._looked_up = (
            *(tuple(map(np.ascontiguousarray, tables.world)), tables.common, tables.kinds, tables.own),
            *(tables.strides, tables.counts, codes),
        )
        self._raw, widths = bytearray(common.size), codes[2][:, 1]
        self._seen = np.zeros(copies * int(widths.sum()), dtype=np.uint8)
        ends = (copies * np.cumsum(widths)).tolist()
        self._parts = [slice(start, stop) for start, stop in zip([0, *ends], ends, strict=False)]
        """Of each agent's observations."""
        self._log = *common.parts(self._raw), self._seen
        self._place: tuple[NDArray[Any], ...] | None = None
        """None: where the world stands has not been seen."""
        self._compared, self._has_begun = 0, False
        """Records that were found equal, and whether a copy began in one of them."""
        self._compile()

    @classmethod
    def of(
        cls, environment: Environment, structure: InformationStructure, restart_steps: int, common: CommonLayout
    ) -> TableSteps | None:
        """None where there are no tables, or values of a space do not lie together in a record. It needs numba."""
        tables = world_tables(environment, structure, restart_steps, _MOST_ENTRIES) if environment.spec.replayable else None
        codes = None if tables is None else _codes(environment, structure)
        return None if tables is None or codes is None else cls(tables, environment, structure, common, codes)

    @property
    def is_sure(self) -> bool:
        """Whether enough records were found equal."""
        return self._has_begun and self._compared >= _COMPARED

    def forget(self) -> None:
        """The world was moved in another way: it is to be seen, and records to be compared, anew."""
        self._place, self._compared, self._has_begun = None, 0, False

    def _compile(self) -> None:
        """The first call takes seconds on a host that keeps no code of it yet: here, before anybody waits for a record."""
        copies, numbers = self._copies, np.dtype(np.int64)
        once, twice = [np.zeros(copies, numbers) for _ in range(3)], np.zeros((2, copies), numbers)
        actions, draws = np.zeros((copies, self._spec.num_agents), numbers), np.zeros((copies, self._spec.draws_per_step))
        make_record(actions, draws, (*once, twice, twice > 0), self._looked_up, self._log)

    def advance(self, joint_action: NDArray[np.int64], draws: NDArray[np.float64]) -> tuple[bytes, tuple[bytes, ...]]:
        """Common bytes and observations of the record after ``joint_action`` [E, K], moved by draws [E, D]."""
        if self._place is None:
            raise InvariantError("tables were asked what follows, but not told where the world stands")
        make_record(joint_action, draws, self._place, self._looked_up, self._log)
        return bytes(self._raw), tuple(map(self._seen.tobytes().__getitem__, self._parts))

    def compare(
        self,
        joint_action: NDArray[np.int64],
        draws: NDArray[np.float64],
        made: tuple[bytes, tuple[bytes, ...]],
        state: Callable[[], State],
    ) -> None:
        """See whether the tables give the record that was ``made``; ``state``: tells that of the world after it.

        Raises:
            InvariantError: if not.
        """
        if self._place is None:
            self._stand(state())
            return
        begins = not self._place[2].all()
        equal = self.advance(joint_action, draws) == made
        if equal and self._compared % _STATES_EVERY == 0:
            equal = _exactly(self.state()) == _exactly(state())
        if not equal:
            raise InvariantError(
                "a record that was looked up in tables differs from the same record as the environment makes it. Nobody was "
                "sent it. Set DADC_FAST=0 to do without compiled kernels, and report this."
            )
        self._compared, self._has_begun = self._compared + 1, self._has_begun or begins

    def _stand(self, state: State) -> None:
        """Take over where the world stands; a history that is not full yet is waited for."""
        kept = [
            JointStep(*(state[f"history/{index}/{name}"] for name in JointStep._fields))
            for index in range(self._history_steps)
            if f"history/{index}/begin" in state
        ]
        if len(kept) < self._history_steps:
            return
        part = "environment/"
        inside = {name.removeprefix(part): value for name, value in state.items() if name.startswith(part)}
        happened = [self._tables.happened(joint, self._spec) for joint in (kept[0], kept[-1])]
        began = np.array([kept[0].begin, kept[-1].begin])
        ages = state["clock/ages"] + 1
        # How old a copy was that has ended is known again after the next record, and not asked for before.
        self._place = self._tables.state_numbers(inside), np.maximum(ages - 1, 0), ages, np.array(happened), began

    def state(self) -> dict[str, NDArray[Any]]:
        """Where the world stands, as ``LockStep.state`` says it."""
        if self._place is None:
            raise InvariantError("tables were asked where the world stands, but not told")
        states, reached, ages, happened, began = self._place
        history = zip(happened[-self._history_steps :], began[-self._history_steps :], strict=True)
        steps = [self._tables.joint_step(number, begin.copy(), self._spec) for number, begin in history]
        return {
            **{f"environment/{name}": value for name, value in self._tables.state_of(states, reached).items()},
            "clock/ages": ages - 1,
            **{
                f"history/{index}/{name}": value
                for index, joint in enumerate(steps)
                for name, value in joint._asdict().items()
            },
        }


def _exactly(state: State) -> list[tuple[str, str, tuple[int, ...], bytes]]:
    """What a state consists of, to the last bit."""
    return [(name, str(array.dtype), array.shape, array.tobytes()) for name, array in state.items()]


def _codes(environment: Environment, structure: InformationStructure) -> tuple[NDArray[Any], ...] | None:
    """Bytes of z [Z, bytes]; of each agent's observations one after the other; and where those of each agent begin, and how
    many bytes one has, [K, 2]. None where some do not lie together."""
    spaces = [agent.observation_space for agent in environment.spec.agents]
    told = _by_number(structure.common_space(environment.spec))
    seen = [_by_number(space) for space in spaces]
    if told is None or any(one is None for one in seen):
        return None
    tables = [one for one in seen if one is not None]
    begins = np.cumsum([0, *(table.size for table in tables)])[:-1]
    places = np.array([[begin, table.shape[1]] for begin, table in zip(begins, tables, strict=True)], dtype=np.int64)
    return told, np.concatenate([table.reshape(-1) for table in tables]), places


def _by_number(space: Any) -> NDArray[np.uint8] | None:
    if not isinstance(space, FiniteSpace):
        return None
    values = space.values(np.arange(space.num_values))
    layout = ObservationLayout(space, len(values))
    return np.frombuffer(layout.pack(values), np.uint8).reshape(len(values), -1) if layout.only_type is not None else None
