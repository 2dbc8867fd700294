"""PROTOCOL.md says what the code does: its tables are compared with the constants."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

import dadc_net.wire
from dadc_net import errors
from dadc_net.errors import DadcError
from dadc_net.node.messages import (
    Account,
    Act,
    Alive,
    Begin,
    Bye,
    End,
    Fault,
    Join,
    Message,
    Probe,
    Query,
    Step,
    Who,
)
from dadc_net.node.record import Record
from dadc_net.wire import header, limits
from dadc_net.wire.framing import encode

TEXT = Path(dadc_net.wire.__file__).with_name("PROTOCOL.md").read_text(encoding="utf-8")


def rows(first_cell: str) -> list[list[str]]:
    """Cells of all table rows whose first cell matches."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in TEXT.splitlines() if line.startswith("|")]
    return [cells for cells in lines if re.fullmatch(first_cell, cells[0])]


def test_the_version() -> None:
    assert TEXT.startswith(f"# The dadc-net protocol, version {header.PROTOCOL_VERSION}\n")


def test_the_limits() -> None:
    written = {cells[0]: int(cells[1]) for cells in rows("[A-Z_]+_MAX")}
    assert written == {name: value for name, value in vars(limits).items() if name.endswith("_MAX")}


def test_the_header_fields() -> None:
    fields = [(int(offset), int(size)) for offset, size, *_ in rows("[0-9]+") if size.isdigit()]
    assert fields[0] == (0, 4)
    assert all(after[0] == before[0] + before[1] for before, after in pairwise(fields))
    assert sum(fields[-1]) == header.HEADER.size


def test_the_message_types() -> None:
    types = {cells[1]: int(cells[0]) for cells in rows("[0-9]+") if cells[1] in header.NAMES}
    assert types == {name: kind for kind, name in enumerate(header.NAMES) if name}


@pytest.mark.parametrize(
    "message",
    [
        Join(
            agent=7,
            commitment=bytes(32),
            selftest=bytes(32),
            settings_digest=b"",
            host={},
            answers={},
            run_id=b"r" * 16,
            epoch=7,
            next_step=7,
            head=b"h" * 32,
        ),
        Begin(run_id=b"r" * 16, epoch=7, settings={}, structure={}, family={}, observation_space={}, action_space={}),
        Step(b"r" * 16, 7, Record(7, b"h" * 32, b""), b""),
        Act(run_id=b"r" * 16, epoch=7, agent=7, step=7, actions=b"", step_digest=bytes(32), learner_digest=b""),
        End(b"r" * 16, 7, 7, bytes(32)),
        Bye(run_id=b"r" * 16, epoch=7, agent=7, step=7),
        Probe(7, 7),
        Alive(7, 7),
        Who(),
        Query(b"r" * 16, 7, 7),
        Account(run_id=b"r" * 16, epoch=7, agent=7, step=7, digests={}),
        Fault(7, ""),
    ],
    ids=lambda message: type(message).__name__,
)
def test_the_fields_in_use(message: Message) -> None:
    name = type(message).__name__
    (cells,) = [cells for cells in rows(f".*{name}.*") if len(cells) == 6]
    _, _, _, _, run_id, epoch, agent, step, head = header.HEADER.unpack(encode(message)[0])
    used = [any(run_id), epoch > 0, agent > 0, step > 0, any(head)]
    assert [cell == "x" for cell in cells[1:]] == used


def test_the_exit_codes() -> None:
    written = {int(cells[0]) for cells in rows("[0-9]+") if len(cells) == 3}
    classes = [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, DadcError)]
    assert written == {0, *(error.exit_code for error in classes if error is not DadcError)}
