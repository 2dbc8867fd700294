"""What the server's sentences tell: every agent reads them, so they hold nothing that one of the agents may not know."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product

import numpy as np
import pytest

from dadc_net.config import resolve
from dadc_net.errors import MismatchError, NumericError, ProtocolError
from dadc_net.exact.digest import digest
from dadc_net.exact.streams import seed_bytes
from dadc_net.node.agent.identity import commitment
from dadc_net.node.messages import Act, Fault, Join
from dadc_net.node.record import ActionLayout
from dadc_net.node.rows import Answers
from dadc_net.node.server.agreement import compare_again
from dadc_net.node.server.roster import Member, Roster
from dadc_net.team.agent_spec import equal_agents
from dadc_net.team.environment import EnvironmentSpec, Outcome
from dadc_net.team.lockstep import LockStep
from dadc_net.team.outcome import admitted
from dadc_net.team.spaces import FiniteSpace
from dadc_net.team.structures.own_memory import NoSharing
from dadc_net.team.structures.structure import Integers, JointStep, Values
from dadc_net.team.tasks import TASKS
from tests.team_in_memory import Team

COPIES, CHOICES = 8, 3
LAYOUT = ActionLayout(FiniteSpace((CHOICES,)), COPIES)
SPEC = EnvironmentSpec(
    name="room",
    agents=equal_agents(2, FiniteSpace((3,)), FiniteSpace((CHOICES,))),
    public_space=FiniteSpace((1,)),
    draws_per_step=1,
)
NOTHING = np.zeros((2, 1), dtype=np.int64)
PLAYED = {1: (0, 2, 1, 0, 1, 1, 2, 0), 2: (2, 1, 1, 0, 0, 2, 1, 1)}
"""agent -> what it played in the eight copies"""


class Leaky(NoSharing):
    """Gives what agent 1 alone observes as if it were common, where no common value can be like that."""

    def common(self, history: Sequence[JointStep], step_in_episode: Integers) -> Values:
        return history[-1].observations[:, :1] + 31_337


def leaked() -> object:
    """The first lock-step of a team with that structure."""
    task = TASKS["mabc"]
    environment = task.environment(task.parameters_type(), 2)
    draws = np.zeros((2, environment.spec.draws_per_step))
    return LockStep(environment, Leaky()).advance(0, np.zeros((2, 2), dtype=np.int64), draws)


def packed(actions: tuple[int, ...]) -> bytes:
    return LAYOUT.pack(np.array(actions)[:, None])


def found_by_trying(text: str) -> Iterator[tuple[int, ...]]:
    """Actions whose hash stands in ``text``: what a curious agent would do with it."""
    for actions in product(range(CHOICES), repeat=COPIES):
        raw = packed(actions)
        if digest(raw).hex()[:16] in text:
            yield actions


def joining(agent: int, commitment: bytes, selftest: bytes = b"s" * 32) -> Join:
    return Join(agent=agent, commitment=commitment, selftest=selftest, settings_digest=b"")


def before(step: int = 5, learner: bytes = b"l" * 32) -> Answers:
    return Answers(step, tuple(packed(a) for a in PLAYED.values()), (b"d" * 32,) * 2, (learner,) * 2)


def again(**changed: bytes) -> Act:
    """Agent 2 answers the record as it did, but for what is ``changed``."""
    fields = {"actions": packed(PLAYED[2]), "step_digest": b"d" * 32, "learner_digest": b"l" * 32, **changed}
    return Act(run_id=bytes(16), epoch=2, agent=2, step=5, **fields)


def test_an_old_record_answered_otherwise_tells_nobody_the_actions() -> None:
    found = compare_again(before(), 2, again(actions=packed(PLAYED[1])), None, shared=True)
    assert found is not None
    assert found.phase == "action"
    assert found.suspects == (2,)
    assert list(found_by_trying(found.text())) == []
    assert "agent 2 answered this record otherwise" in found.text()
    assert "step 5, phase action" in found.text()


def test_trying_finds_actions_in_a_text_that_names_their_hashes() -> None:
    text = ", ".join(f"agent {agent}: {digest(packed(actions)).hex()[:16]}" for agent, actions in PLAYED.items())
    assert set(found_by_trying(text)) == set(PLAYED.values())


def test_shared_digests_are_shown_and_those_of_independent_learners_are_not() -> None:
    answer = again(learner_digest=b"m" * 32)
    shared = compare_again(before(), 2, answer, 1, shared=True)
    assert shared is not None
    assert (b"m" * 8).hex() in shared.text()
    assert (b"l" * 8).hex() in shared.text()
    alone = compare_again(before(), 2, answer, 1, shared=False)
    assert alone is not None
    assert alone.phase == "update"
    assert (b"m" * 8).hex() not in alone.text()
    assert (b"l" * 8).hex() not in alone.text()


def test_a_refused_agent_is_not_told_the_teams_commitment() -> None:
    """By it a short seed could be found by whoever has a key but not the seed."""
    team, own = commitment(seed_bytes(7)), commitment(seed_bytes(8))
    roster = Roster(2, b"")
    roster.seat(Member(b"one", joining(1, team)))
    refusal = roster.check(joining(2, own), 2)
    assert isinstance(refusal, MismatchError)
    assert own.hex()[:16] in str(refusal)
    assert team.hex()[:8] not in str(refusal)


@pytest.mark.parametrize(
    "error",
    [
        lambda: LAYOUT.read(packed((0, 2, 1, 7, 1, 1, 2, 0)), 4, 1),
        lambda: admitted(Outcome(np.full((2, 2, 1), 31_337_000), NOTHING, np.zeros(2), np.zeros(2, np.uint8)), SPEC, 2, 4),
        lambda: admitted(
            Outcome(np.zeros((2, 2, 1), np.int64), NOTHING + 31_337, np.zeros(2), np.zeros(2, np.uint8)), SPEC, 2, 4
        ),
        leaked,
    ],
)
def test_values_outside_their_space_are_not_named(error: Callable[[], object]) -> None:
    with pytest.raises((ProtocolError, NumericError)) as caught:
        error()
    assert not any(value in str(caught.value) for value in ("31337", "[0, 2", "7, 1"))


def test_a_run_that_ends_because_an_agent_changed_its_mind_tells_nobody_its_actions() -> None:
    """The production roles: agent 2 comes back with an empty folder and answers record 3 otherwise."""
    config = resolve("mabc", (), {"updates": 2, "learner.num_envs": COPIES, "learner.batch_steps": COPIES * 10})
    team = Team(config).run()
    server, answers, identity = team.server, team.answers[2], team.agents[2].identity
    assert team.finished
    join = joining(2, identity.commitment, identity.selftest)
    server.receive(b"again", 2, join, 1.0)
    for act in answers[:3]:
        server.receive(b"again", 2, act, 1.0)
    raw = packed(tuple(1 - int(value) for value in np.frombuffer(answers[3].actions, dtype=LAYOUT.only_type)))
    server.receive(b"again", 2, answers[3]._replace(actions=raw), 1.0)
    deliveries = server.tick(20.0)
    texts = [delivery.message.text for delivery in deliveries if isinstance(delivery.message, Fault)]
    assert len(texts) == 1
    assert "agent 2 answered this record otherwise" in texts[0]
    assert "step 3" in texts[0]
    hashes = {digest(value).hex()[:16] for value in (raw, *(act.actions for k in (1, 2) for act in team.answers[k]))}
    assert not any(value in texts[0] for value in hashes)
