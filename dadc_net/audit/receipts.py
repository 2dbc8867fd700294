"""Did what one side says it sent arrive at the other? The server's journal against each agent's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from dadc_net.audit.first_divergence import FirstDivergence
from dadc_net.exact.digest import digest
from dadc_net.storage.journal_reader import JournalReader

_WAYS = (
    ("observation", "o_t", "to the agent"),
    ("actions", "a_t", "to the server"),
    ("step digest", "keyed digest", "to the server"),
    ("learner digest", "all", "to the server"),
)


def compare_receipts(server: JournalReader, agents: Sequence[JournalReader]) -> FirstDivergence | None:
    """The first record at which an observation, action or digest is not the same at both ends."""
    found = [_compare(server, reader) for reader in agents]
    return min((one for one in found if one is not None), key=lambda one: one.step, default=None)


def _compare(server: JournalReader, reader: JournalReader) -> FirstDivergence | None:
    agent = reader.agent
    observed = server.observations(agent)
    answered = server.answers(agent)
    for step, own in _own(reader):
        sent = next(observed, None)
        answer = next(answered, None)
        theirs = (None if sent is None else sent[1], *((None,) * 3 if answer is None else answer[1:]))
        for (component, tensor, way), here, there in zip(_WAYS, own, theirs, strict=True):
            if there is not None and here != there:
                shown = {"server": digest(there).hex(), f"agent {agent}": digest(here).hex()}
                return FirstDivergence(step, "delivery", f"{component} on the way {way}", tensor, [agent], shown)
    return None


def _own(reader: JournalReader) -> Iterator[tuple[int, tuple[bytes, ...]]]:
    """(step, (observation, actions, step digest, learner digest)) as the agent wrote them down."""
    updates = reader.updates()
    update = next(updates, None)
    steps: Iterator[tuple[Any, ...]] = reader.steps()
    for (step, observation, actions, _), row in zip(reader.private(), steps, strict=False):
        learner = b""
        if update is not None and update.step == step:
            learner = update.learner
            update = next(updates, None)
        yield step, (observation, actions, row[5], learner)
