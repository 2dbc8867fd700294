"""The front door: the text of a .dpomdp file becomes a finite model.

Tolerant where the meaning is certain (comments and empty lines anywhere, quoted names, the last colon left out, both forms
of rewards, rounded probabilities), strict where it is not; an error names the line, what stands there and what was expected.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dadc_net.errors import UsageError
from dadc_net.team.finite.dpomdp.header import Header, read_header
from dadc_net.team.finite.dpomdp.probabilities import ProbabilityTables
from dadc_net.team.finite.dpomdp.rewards import ADDED, LAST_LINE, READINGS, Reward, RewardLine, added, last_line, reward_line
from dadc_net.team.finite.dpomdp.source import Source
from dadc_net.team.finite.dpomdp.specifications import specifications
from dadc_net.team.finite.dpomdp.symbols import Joint, States
from dadc_net.team.finite.model import EXACT_ENOUGH, FiniteModel
from dadc_net.team.finite.sparse_rows import SparseRows

_READERS = {ADDED: added, LAST_LINE: last_line}
MOST_JOINT_ACTIONS = 100_000
_SAME = 1e-9
"""Expected rewards of the two readings that are this near to each other are the same."""


@dataclass(frozen=True)
class DpomdpFile:
    """What was read."""

    model: FiniteModel
    notes: tuple[str, ...]
    """What a reader should know: sizes, forms of rewards, and whatever was put right or is doubtful."""
    warnings: tuple[str, ...]
    """What may not be meant: costs, two readings that differ, rewards above the probabilities that weigh them."""


def read_dpomdp(text: str, name: str, rewards: str = ADDED) -> DpomdpFile:
    """Read a file.

    Args:
        name: of the file, for errors; the model's name is its part before ``.dpomdp``.
        rewards: ``added`` as MADP reads, or ``last-line``; see ``rewards.py``.

    Raises:
        UsageError: with file, line, what stands there and what was expected; or with state and joint action where
            probabilities do not sum to 1.
    """
    if rewards not in READINGS:
        raise UsageError(
            f"the reading of rewards {rewards!r} does not exist. It decides what lines with end states mean. "
            f"Choose one of {', '.join(READINGS)}."
        )
    source = Source(text, name)
    header, rest = read_header(source)
    actions = Joint(source, header.actions, "action")
    observations = Joint(source, header.observations, "observation")
    if actions.count > MOST_JOINT_ACTIONS:
        raise UsageError(
            f"{name} has {actions.count} joint actions, and each has tables of its own. There may be {MOST_JOINT_ACTIONS}. "
            "Divide the problem, or write it as an environment in Python."
        )
    states = States(source, header.states)
    size = len(header.states)
    moves = ProbabilityTables(source, "T", actions, states, size, None)
    seen = ProbabilityTables(source, "O", actions, states, size, observations)
    lines: list[RewardLine] = []
    for found in specifications(source, rest, header.num_agents):
        if found.kind == "R":
            lines.append(reward_line(source, found, actions, states, observations, size))
        else:
            (moves if found.kind == "T" else seen).read(found)
    tables = moves.tables(), seen.tables()
    unsigned, doubt = _rewards(lines, rewards, *tables)
    signed = tuple(_negative(table) for table in unsigned) if header.costs else unsigned
    model = _model(header, name, tables, signed)
    warnings = [f"{name} gives costs: every reward is the negative of what stands there."] if header.costs else []
    early = [line.line for line in lines if not line.sets and line.line < max(moves.last_line, seen.last_line)]
    if early:
        warnings.append(
            f"{name}, line {early[0]}: a reward with an end state stands above T or O lines. MADP would weigh it with the "
            "probabilities read so far; here it is weighed with all of them."
        )
    if doubt > _SAME:
        warnings.append(
            f"the two readings of the rewards of {name} differ by up to {doubt:.3g} in R(s, a). This is the reading "
            f"{rewards!r}. The other is chosen by the option {next(r for r in READINGS if r != rewards)!r}."
        )
    return DpomdpFile(model, _notes(model, lines), tuple(warnings))


def _model(
    header: Header, name: str, tables: tuple[tuple[SparseRows, ...], tuple[SparseRows, ...]], rewards: tuple[Reward, ...]
) -> FiniteModel:
    return FiniteModel(
        name=name.rpartition("/")[2].removesuffix(".gz").removesuffix(".dpomdp"),
        states=header.states,
        actions=header.actions,
        observations=header.observations,
        start=header.start,
        transitions=tables[0],
        observation_probabilities=tables[1],
        rewards=rewards,
        discount=header.discount,
    )


def _rewards(
    lines: list[RewardLine], reading: str, moves: tuple[SparseRows, ...], seen: tuple[SparseRows, ...]
) -> tuple[tuple[Reward, ...], float]:
    """The rewards of every joint action, and by how much the other reading's R(s, a) differs at most."""
    chosen: list[Reward] = []
    doubt = 0.0
    mine = _READERS[reading]
    other = next(reader for name, reader in _READERS.items() if name != reading)
    of_action: list[list[RewardLine]] = [[] for _ in moves]
    for line in lines:
        for a in line.joint_actions:
            of_action[a].append(line)
    for own, transitions, observed in zip(of_action, moves, seen, strict=True):
        chosen.append(mine(own, transitions, observed))
        if not all(line.sets for line in own):
            one, two = (_mean(table, transitions) for table in (chosen[-1], other(own, transitions, observed)))
            doubt = max(doubt, float(np.abs(one - two).max()))
    return tuple(chosen), doubt


def _mean(table: Reward, transitions: SparseRows) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    if not isinstance(table, SparseRows):
        return table
    weighted = table.at(transitions.rows, transitions.indices) * transitions.data
    return np.asarray(np.bincount(transitions.rows, weights=weighted, minlength=transitions.num_rows), dtype=np.float64)


def _negative(table: Reward) -> Reward:
    return table.map(np.negative) if isinstance(table, SparseRows) else -table


def _notes(model: FiniteModel, lines: list[RewardLine]) -> tuple[str, ...]:
    sizes = [f"{model.num_agents} agents, {model.num_states} states"]
    sizes.append("actions " + " x ".join(map(str, model.joint_actions.sizes)))
    sizes.append("observations " + " x ".join(map(str, model.joint_observations.sizes)))
    notes = [", ".join(sizes), f"discount {model.discount:g} in the file"]
    notes.append("rewards as " + (", ".join(sorted({line.form for line in lines})) or "nothing: all are 0"))
    if model.largest_row_error > EXACT_ENOUGH:
        notes.append(f"probabilities summed to 1 within {model.largest_row_error:.2g} and were divided by their sums")
    if not any(_depends_on_state(table) for table in model.observation_probabilities):
        notes.append("observations do not depend on the state: sharing them is worth nothing")
    return tuple(notes)


def _depends_on_state(table: SparseRows) -> bool:
    first = table.row(0)
    return any(
        not (np.array_equal(first[0], row[0]) and np.array_equal(first[1], row[1]))
        for row in (table.row(s) for s in range(1, table.num_rows))
    )
