"""The header of a file: agents, discount, values, states, start, actions, observations, in this order, each once."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dadc_net.team.finite.dpomdp.source import Line, Source, is_index, is_number, is_specification
from dadc_net.team.finite.dpomdp.symbols import Names

_ORDER = ("agents", "discount", "values", "states", "start", "actions", "observations")
_ITEM = re.compile(r"(agents|discount|values|states|start(?:\s+(?:include|exclude))?|actions|observations)\s*:(.*)")
_MOST = 1_000_000
"""Of whatever is counted."""
RESERVED = frozenset({"agents", "discount", "actions", "observations", "T", "O", "R"})
"""Words that cannot be names."""


@dataclass(frozen=True)
class Header:
    """What a file says before its numbers."""

    num_agents: int
    discount: float
    costs: bool
    """Whether the rewards of the file are costs."""
    states: tuple[str, ...]
    start: NDArray[np.float64]
    """[S]"""
    actions: tuple[tuple[str, ...], ...]
    observations: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class _Item:
    line: int
    key: str
    """Such as ``start include``."""
    content: list[Line]
    """What stands behind the colon, if anything, then the lines below."""
    inline: bool
    """Whether something stands behind the colon."""

    @property
    def tokens(self) -> list[tuple[int, str]]:
        return [(line, token) for line, text in self.content for token in text.split()]


def read_header(source: Source) -> tuple[Header, list[Line]]:
    """The header, and the lines below it.

    Raises:
        UsageError: with the line, what stands there and what was expected.
    """
    items, rest = _items(source)
    agents = _num_agents(source, items["agents"])
    line, token = _single(source, items["discount"], "a discount from 0 to 1")
    discount = source.number(token, line, "a discount from 0 to 1")
    if not 0.0 <= discount <= 1.0:
        source.fail(line, token, "a discount from 0 to 1")
    line, token = _single(source, items["values"], "reward or cost")
    if token not in ("reward", "rewards", "cost", "costs"):
        source.fail(line, repr(token), "reward or cost")
    states = _names(source, [token for _, token in items["states"].tokens], items["states"].line, "states")
    header = Header(
        num_agents=agents,
        discount=discount,
        costs=token.startswith("cost"),
        states=states,
        start=_start(source, items["start"], states),
        actions=_per_agent(source, items["actions"], agents),
        observations=_per_agent(source, items["observations"], agents),
    )
    return header, rest


def _items(source: Source) -> tuple[dict[str, _Item], list[Line]]:
    items: dict[str, _Item] = {}
    for place, (number, text) in enumerate(source.lines):
        if len(items) == len(_ORDER) and is_specification(text):
            return items, source.lines[place:]
        match = _ITEM.fullmatch(text)
        if match:
            key = " ".join(match[1].split())
            expected = _ORDER[len(items)] if len(items) < len(_ORDER) else "T, O or R"
            if key.split()[0] != expected:
                source.fail(number, repr(key), f"{expected!r} (the header is {', '.join(_ORDER)}, each once)")
            content = [(number, match[2].strip())] if match[2].strip() else []
            items[expected] = _Item(number, key, content, bool(content))
        elif items and not is_specification(text):
            items[next(reversed(items))].content.append((number, text))
        else:
            expected = _ORDER[len(items)] if len(items) < len(_ORDER) else "T, O or R"
            source.fail(number, repr(text[:40]), f"{expected!r} (the header is {', '.join(_ORDER)}, each once)")
    if len(items) < len(_ORDER):
        source.fail(source.last_line, "the end of the file", f"{_ORDER[len(items)]!r} in the header")
    return items, []


def _single(source: Source, item: _Item, expected: str) -> tuple[int, str]:
    if len(item.tokens) != 1:
        source.fail(item.line, repr(" ".join(token for _, token in item.tokens)), expected)
    return item.tokens[0]


def _num_agents(source: Source, item: _Item) -> int:
    tokens = [part for _, token in item.tokens for part in token.split(",") if part]
    if not tokens or tokens == ["0"]:
        source.fail(item.line, repr(" ".join(tokens)), "the number of agents, or their names")
    return int(tokens[0]) if len(tokens) == 1 and is_index(tokens[0]) else len(tokens)


def _names(source: Source, tokens: list[str], line: int, what: str) -> tuple[str, ...]:
    if len(tokens) == 1 and is_index(tokens[0]):
        if not 1 <= int(tokens[0]) <= _MOST:
            source.fail(line, tokens[0], f"1 to {_MOST} {what}")
        return tuple(map(str, range(int(tokens[0]))))
    if not tokens:
        source.fail(line, "nothing", f"the number of {what}, or their names")
    seen: set[str] = set()
    for token in tokens:
        if not token[0].isalpha() or token in RESERVED or ":" in token:
            source.fail(
                line, repr(token), f"a name among the {what}: a letter first, no colon, not {', '.join(sorted(RESERVED))}"
            )
        if token in seen:
            source.fail(line, f"{token!r} twice", f"every name once among the {what}")
        seen.add(token)
    return tuple(tokens)


def _per_agent(source: Source, item: _Item, agents: int) -> tuple[tuple[str, ...], ...]:
    if len(item.content) != agents:
        source.fail(item.line, f"{len(item.content)} lines of {item.key}", f"{agents} lines below it, one per agent")
    return tuple(
        _names(source, text.split(), line, f"{item.key} of agent {k}")
        for k, (line, text) in enumerate(item.content, start=1)
    )


def _start(source: Source, item: _Item, states: tuple[str, ...]) -> NDArray[np.float64]:
    names = Names(states, "a state")
    tokens = item.tokens
    if not tokens:
        source.fail(item.line, "nothing", "uniform, a state, or one probability per state")
    if item.key != "start":
        chosen = np.zeros(len(states))
        chosen[[names.index(source, token, line) for line, token in tokens]] = 1.0
        chosen = chosen if item.key.endswith("include") else 1.0 - chosen
        if not chosen.any():
            source.fail(item.line, "every state excluded", "at least one state to start in")
        return np.asarray(chosen / chosen.sum())
    line, first = tokens[0]
    # On the keyword's own line a single word is a state; below it, numbers or the word uniform are meant.
    state = len(tokens) == 1 and (first in states or (item.inline and not (len(states) == 1 and is_number(first))))
    if len(tokens) == 1 and first == "uniform" and not (item.inline and first in states):
        return np.full(len(states), 1.0 / len(states))
    if state:
        start = np.zeros(len(states))
        start[names.index(source, first, line)] = 1.0
        return start
    return np.array(source.numbers(item.content, len(states), "one probability per state"))
