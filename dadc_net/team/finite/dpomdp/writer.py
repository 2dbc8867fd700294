"""A finite model becomes the text of a .dpomdp file, in MADP's strict form; reading it gives an equal model, bit for bit.

Numbers are written as Python's ``repr``, the shortest text that is read as the same float. The horizon is not part of the
format.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from dadc_net.errors import UsageError
from dadc_net.team.finite.dpomdp.header import RESERVED
from dadc_net.team.finite.model import FiniteModel
from dadc_net.team.finite.sparse_rows import SparseRows

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


def write_dpomdp(model: FiniteModel) -> str:
    """The text.

    Raises:
        UsageError: for a name that the format cannot hold.
    """
    return "\n".join([*_header(model), *_tables(model)]) + "\n"


def _header(model: FiniteModel) -> Iterator[str]:
    yield f"agents: {model.num_agents}"
    yield f"discount: {model.discount!r}"
    yield "values: reward"
    yield f"states: {_list(model.states, 'state')}"
    yield "start:"
    yield " ".join(repr(float(p)) for p in model.start)
    yield "actions:"
    yield from (_list(names, "action") for names in model.actions)
    yield "observations:"
    yield from (_list(names, "observation") for names in model.observations)


def _tables(model: FiniteModel) -> Iterator[str]:
    states = _tokens(model.states)
    observed = _joint_tokens(model.observations, model.num_joint_observations)
    actions = _joint_tokens(model.actions, model.num_joint_actions)
    for action, table in zip(actions, model.transitions, strict=True):
        yield from (f"T: {action} : {states[s]} : {states[t]} : {p!r}" for s, t, p in _entries(table))
    for action, table in zip(actions, model.observation_probabilities, strict=True):
        yield from (f"O: {action} : {states[s]} : {observed[o]} : {p!r}" for s, o, p in _entries(table))
    for action, reward in zip(actions, model.rewards, strict=True):
        if isinstance(reward, SparseRows):
            yield from (f"R: {action} : {states[s]} : {states[t]} : * : {r!r}" for s, t, r in _entries(reward))
        else:
            values = reward.tolist()
            yield from (f"R: {action} : {states[s]} : * : * : {values[s]!r}" for s in np.flatnonzero(reward).tolist())


def _entries(table: SparseRows) -> Iterator[tuple[int, int, float]]:
    return zip(table.rows.tolist(), table.indices.tolist(), table.data.tolist(), strict=True)


def _counted(names: Sequence[str]) -> bool:
    return all(name == str(i) for i, name in enumerate(names))


def _list(names: Sequence[str], kind: str) -> str:
    if _counted(names):
        return str(len(names))
    for name in names:
        if not _NAME.fullmatch(name) or name in RESERVED:
            raise UsageError(
                f"the {kind} {name!r} cannot be written to a .dpomdp file. A name there is a letter, then letters, digits, "
                f"_ and -, and none of {', '.join(sorted(RESERVED))}. Rename it."
            )
    return " ".join(names)


def _tokens(names: Sequence[str]) -> Sequence[str]:
    return names  # A list that is written as a count has its indices for names.


def _joint_tokens(names: Sequence[Sequence[str]], count: int) -> list[str]:
    if len(names) == 1:
        # MADP takes one token for a joint index.
        return [str(i) for i in range(count)]
    tokens = [""]
    for own in names:
        tokens = [f"{before} {name}".strip() for before in tokens for name in own]
    return tokens
