"""The specifications of a file: T, O and R lines with the numbers that stand on them or below.

What stands between colons is kept as text; what it means is for ``probabilities`` and ``rewards``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from dadc_net.team.finite.dpomdp.source import Line, Source, is_index, is_number, is_specification


@dataclass
class Specification:
    """One T, O or R."""

    line: int
    kind: str
    fields: list[str]
    """What stands between the colons; the value on the line itself is not among them."""
    value: str = ""
    """The number on the line; empty where numbers stand below."""
    block: list[Line] = field(default_factory=list)
    """The lines below, up to the next specification."""

    @property
    def word(self) -> str:
        """The only word of the block, such as uniform; empty where there are more."""
        return self.block[0][1] if len(self.block) == 1 and not is_number(self.block[0][1].split()[0]) else ""


PLACES = {"T": 3, "O": 3, "R": 4}
"""Fields before the number of an entry."""
_MEANING = {
    "T": "T: joint action : from : to : number",
    "O": "O: joint action : to : joint observation : number",
    "R": "R: joint action : from : to : joint observation : number",
}


def specifications(source: Source, lines: list[Line], num_agents: int) -> Iterator[Specification]:
    """All of them, in order, with their values told apart from their fields."""
    place = 0
    while place < len(lines):
        number, text = lines[place]
        place += 1
        parts = [part.strip() for part in text.split(":")]
        found = Specification(number, parts[0], parts[1:])
        while place < len(lines) and not is_specification(lines[place][1]):
            found.block.append(lines[place])
            place += 1
        _settle(source, found, num_agents)
        yield found


def _settle(source: Source, found: Specification, num_agents: int) -> None:
    fields, wanted = found.fields, PLACES[found.kind]
    if found.block:
        if fields[-1] == "":
            fields.pop()
        if not 1 <= len(fields) < wanted:
            source.fail(found.block[0][0], repr(found.block[0][1][:40]), "T, O or R at the beginning of a line")
    elif len(fields) == wanted + 1 and fields[-1]:
        found.value = fields.pop()
    elif found.kind == "R" and len(fields) == 3 and is_number(fields[-1]):
        # SDMStudio leaves out the two places that are always stars.
        found.value = fields.pop()
    elif len(fields) == wanted and fields[-1]:
        _split_last(source, found, num_agents)
    elif found.kind != "R" and len(fields) == 2 and fields[-1] in ("uniform", "identity"):
        found.block = [(found.line, fields.pop())]
    else:
        source.fail(found.line, repr(f"{found.kind}: {' : '.join(fields)}"), f"{_MEANING[found.kind]}, or numbers below")
    if "" in fields:
        source.fail(found.line, "nothing between two colons", _MEANING[found.kind])
    if found.value and not is_number(found.value):
        source.fail(found.line, repr(found.value), "a number behind the last colon")


def _split_last(source: Source, found: Specification, num_agents: int) -> None:
    """The number of a line whose last colon was left out, where it can be nothing else."""
    tokens = found.fields[-1].split()
    places = num_agents if found.kind != "T" else 1
    if len(tokens) == places + 1 and is_number(tokens[-1]):
        certain = True
    else:
        certain = len(tokens) == 2 and is_number(tokens[-1]) and not is_index(tokens[-1])
    if not certain:
        source.fail(found.line, repr(found.fields[-1]), f"a colon before the number ({_MEANING[found.kind]})")
    found.value = tokens[-1]
    found.fields[-1] = " ".join(tokens[:-1])
