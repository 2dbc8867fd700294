"""What a token of a file stands for: a state, or the actions or observations of all agents together.

Names and indices from 0 may be mixed; ``*`` stands for everything, for each agent on its own. One token in place of one per
agent is a joint index, the last agent's part fastest.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from dadc_net.team.finite.dpomdp.source import Source, is_index

ALL = "*"


class Names:
    """The names of one list."""

    def __init__(self, names: Sequence[str], kind: str) -> None:
        self.kind = kind
        self.size = len(names)
        self._index = {name: index for index, name in enumerate(names)}
        self._shown = ", ".join(names[:8]) + (", .." if len(names) > 8 else "")

    def index(self, source: Source, token: str, line: int) -> int:
        """The place of a name or index."""
        if token in self._index:
            return self._index[token]
        if is_index(token) and int(token) < self.size:
            return int(token)
        source.fail(line, repr(token), f"{self.kind}: {self._shown}, an index from 0 to {self.size - 1}, or *")


class States:
    """The states of a file."""

    def __init__(self, source: Source, names: Sequence[str]) -> None:
        self._source = source
        self._names = Names(names, "a state")
        self._known: dict[str, int | None] = {ALL: None}

    def find(self, field: str, line: int) -> int | None:
        """Which state; None for all of them."""
        if field not in self._known:
            tokens = field.split()
            if len(tokens) != 1:
                self._source.fail(line, repr(field), "one state between colons")
            self._known[field] = self._names.index(self._source, tokens[0], line)
        return self._known[field]


class Joint:
    """The joint actions or joint observations of a file."""

    def __init__(self, source: Source, names: Sequence[Sequence[str]], kind: str) -> None:
        self._source = source
        self._kind = kind
        self._agents = [Names(own, f"an {kind} of agent {k}") for k, own in enumerate(names, start=1)]
        self.sizes = [len(own) for own in names]
        self.count = math.prod(self.sizes)
        self._known: dict[str, tuple[int, ...] | None] = {}

    def find(self, field: str, line: int) -> tuple[int, ...] | None:
        """Which joint indices, rising; None for all of them."""
        if field not in self._known:
            self._known[field] = self._resolve(field.split(), line)
        return self._known[field]

    def all(self, field: str, line: int) -> tuple[int, ...]:
        """The same, all of them written out."""
        found = self.find(field, line)
        return tuple(range(self.count)) if found is None else found

    def _resolve(self, tokens: list[str], line: int) -> tuple[int, ...] | None:
        agents = len(self.sizes)
        if set(tokens) == {ALL} and len(tokens) in (1, agents):
            return None
        if len(tokens) == 1 and agents > 1:
            token = tokens[0]
            if is_index(token) and int(token) < self.count:
                return (int(token),)
            self._source.fail(
                line, repr(token), f"{agents} {self._kind}s, one per agent, a joint index from 0 to {self.count - 1}, or *"
            )
        if len(tokens) != agents:
            self._source.fail(line, repr(" ".join(tokens)), f"{agents} {self._kind}s, one per agent")
        parts = [
            range(names.size) if token == ALL else (names.index(self._source, token, line),)
            for names, token in zip(self._agents, tokens, strict=True)
        ]
        places = []
        for chosen in itertools.product(*parts):
            place = 0
            for size, index in zip(self.sizes, chosen, strict=True):
                place = place * size + index
            places.append(place)
        return tuple(places)
