"""An agent's own part of a lock-step, from what it alone is told to what it does, as bytes.

``PassiveAgents`` does it in single steps. Where local information and prescriptions can be written down in tables, a kernel
looks up what follows, with the same bits. Lock-steps are done both ways and compared until enough of them were equal; so is
the first one in which a copy begins, and now and then one for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.errors import InvariantError
from dadc_net.exact import compiled
from dadc_net.exact.obeying import Moves, Seen, Standing, obey_entries, obey_logits
from dadc_net.node.agent.passive_agents import PassiveAgents
from dadc_net.node.record import ActionLayout
from dadc_net.team.agent_spec import AgentSpec
from dadc_net.team.gibbs import GibbsFamily
from dadc_net.team.menu import PrescriptionMenu
from dadc_net.team.prescriptions import PrescriptionFamily, Theta
from dadc_net.team.structures.structure import InformationStructure
from dadc_net.team.tables import LocalTables, local_tables, numbered

_COMPARED = 64
"""Lock-steps that are done both ways at least."""
_COMPARED_EVERY = 64
"""Afterwards, one of so many is done both ways."""
_MANY_COPIES = 48
"""From here on single steps of NumPy take less time."""
_MOST_ENTRIES = 100_000
"""Of a table: filling it must not keep a team from its first record."""
_STEPS, _LOCAL, _ACTION = "private/step-in-episode", "private/0/local", "private/0/action"
"""Of ``PassiveAgents.snapshot``."""

Snapshot = Mapping[str, NDArray[Any]]
Obey = Callable[[Seen, Theta, NDArray[np.uint64] | None, Standing, Moves, NDArray[Any]], bool]
"""What is told, theta, random words, where copies stand and how they move -> actions [E]; False: it could not be done."""


class OwnPart:
    """Of one agent."""

    def __init__(self, passive: PassiveAgents, actions: ActionLayout, tables: TableAgent | None) -> None:
        """``tables``: of the same agent; None: it has none."""
        self._passive, self._actions, self._tables = passive, actions, tables
        self._is_behind = False
        """Whether the tables have moved on alone."""

    def read(self, step: int, observation: bytes) -> NDArray[Any]:
        """What ``answer`` is given of record ``step``. Nothing changes. Raises ProtocolError if the bytes do not fit."""
        return self._passive.read(step, [observation])[0]

    def answer(self, step: int, seen: NDArray[Any], begin: NDArray[np.bool_], theta: Theta | None) -> bytes:
        """Actions of record ``step`` as they are sent, none at a run's last; ``seen`` of ``read``, ``begin`` [E]."""
        tables = self._tables
        if tables is None or theta is None:
            return self._in_single_steps(step, seen, begin, theta)
        words = self._passive.words(step)
        if step % _COMPARED_EVERY and tables.may_answer(begin):
            found = tables.answer(Seen(seen, begin), theta, words)
            if found is not None:
                self._is_behind = True
                return found
        answer = self._in_single_steps(step, seen, begin, theta)
        tables.compare(Seen(seen, begin), theta, words, answer, self._passive.snapshot())
        return answer

    def _in_single_steps(self, step: int, seen: NDArray[Any], begin: NDArray[np.bool_], theta: Theta | None) -> bytes:
        self._catch_up()
        self._passive.observe([seen], begin)
        return b"" if theta is None else self._actions.pack(self._passive.act(step, theta))

    def _catch_up(self) -> None:
        if self._is_behind and self._tables is not None:
            self._passive.restore(self._tables.snapshot())
            self._is_behind = False

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """A copy of L_t, A_t and t."""
        self._catch_up()
        return self._passive.snapshot()

    def restore(self, snapshot: Snapshot) -> None:
        """Take L_t, A_t and t from ``snapshot``."""
        self._passive.restore(snapshot)
        self._is_behind = False
        if self._tables is not None:
            self._tables.forget()


class TableAgent:
    """One agent, and where its copies stand, in tables."""

    def __init__(
        self, structure: InformationStructure, spec: AgentSpec, tables: LocalTables, obey: Obey, kind: np.dtype[Any]
    ) -> None:
        """``kind``: the type of an action in bytes."""
        self._structure, self._tables, self._obey, self._kind = structure, tables, obey, kind
        self._space = structure.local_space(spec.observation_space, spec.action_space)
        strides = numbered(spec.observation_space).index(np.eye(spec.observation_space.columns, dtype=np.int64))
        self._moves = Moves(*map(np.ascontiguousarray, (tables.following, tables.local, strides)))
        self._standing: Standing | None = None
        """None: where the copies stand has not been seen."""
        self._compared, self._has_begun = 0, False
        """Lock-steps that were found equal, and whether a copy began in one of them."""

    @classmethod
    def of(
        cls,
        agent: int,
        spec: AgentSpec,
        structure: InformationStructure,
        family: PrescriptionFamily,
        actions: ActionLayout,
    ) -> TableAgent | None:
        """Of agent ``agent``; None where there are no tables or no kernels, or NumPy takes less time for so many copies."""
        obey, kind = _obeying(agent, spec, family), actions.only_type
        if obey is None or kind is None or compiled.kernels is None or actions.copies >= _MANY_COPIES:
            return None
        tables = local_tables(structure, spec, _MOST_ENTRIES)
        return None if tables is None else cls(structure, spec, tables, obey, kind)

    def may_answer(self, begin: NDArray[np.bool_]) -> bool:
        """Whether enough lock-steps were found equal, and, if copies ``begin`` [E], one in which some did."""
        return self._compared >= _COMPARED and (self._has_begun or b"\1" not in begin.tobytes())

    def forget(self) -> None:
        """Copies were moved in another way: where they stand is to be seen, and lock-steps to be compared, anew."""
        self._standing, self._compared, self._has_begun = None, 0, False

    def answer(self, seen: Seen, theta: Theta, words: NDArray[np.uint64] | None) -> bytes | None:
        """Actions as they are sent; None where that could not be done, and nothing has moved."""
        if self._standing is None:
            return None
        actions = np.empty(len(seen.begin), dtype=self._kind)
        return actions.tobytes() if self._obey(seen, theta, words, self._standing, self._moves, actions) else None

    def compare(
        self, seen: Seen, theta: Theta, words: NDArray[np.uint64] | None, answer: bytes, snapshot: Snapshot
    ) -> None:
        """See whether the tables give ``answer`` too, and lead to where ``snapshot`` says that the agent stands then.

        Raises:
            InvariantError: if not.
        """
        if self._standing is None:
            self._stand(snapshot)
            return
        found = self.answer(seen, theta, words)
        if found is None:
            self._stand(snapshot)
            return
        own = self.snapshot()
        if found != answer or any(array.tobytes() != own[name].tobytes() for name, array in snapshot.items()):
            raise InvariantError(
                "what this agent does was looked up in tables, and differs from what its prescription says. It was not "
                "sent. Set DADC_FAST=0 to do without compiled kernels, and report this."
            )
        self._compared, self._has_begun = self._compared + 1, self._has_begun or b"\1" in seen.begin.tobytes()

    def _stand(self, snapshot: Snapshot) -> None:
        kinds = {int(step): number for number, step in enumerate(self._tables.steps)}
        steps = snapshot[_STEPS].copy()
        alike = [kinds[self._structure.recurring_step(step)] for step in steps.tolist()]
        local = numbered(self._space).index(snapshot[_LOCAL])
        self._standing = Standing(steps, np.array(alike, dtype=np.int64), local, snapshot[_ACTION].copy())

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Where the agent stands, as ``PassiveAgents.snapshot`` says it."""
        if self._standing is None:
            raise InvariantError("tables were asked where an agent stands, but not told")
        steps, _, local, actions = self._standing
        return {_STEPS: steps.copy(), _LOCAL: numbered(self._space).values(local), _ACTION: actions.copy()}


def _obeying(agent: int, spec: AgentSpec, family: PrescriptionFamily) -> Obey | None:
    """How ``agent`` obeys in one; None where it cannot, or prescriptions say an action that it does not have."""
    own, count = agent - 1, spec.action_space.num_values
    if type(family) is PrescriptionMenu:
        table = family.table()
        menu = np.ascontiguousarray(table[:, min(own, table.shape[1] - 1)])
        if not ((menu >= 0) & (menu < count)).all():
            return None
        return lambda seen, theta, _, *rest: obey_entries(seen, theta, menu, *rest)
    if type(family) is GibbsFamily and not family.own_actions and family.num_actions <= count:
        tables, rows, actions = family.shape
        if 1 < tables < agent:
            return None  # Single steps say what is wrong; a kernel would read beyond theta.
        first = 0 if tables == 1 else own * rows

        def draw(seen: Seen, theta: Theta, words: NDArray[np.uint64] | None, *rest: Any) -> bool:
            logits = theta.reshape(len(seen.begin), tables * rows, actions)
            return words is not None and obey_logits(seen, logits, first, words, *rest)

        return draw
    return None
