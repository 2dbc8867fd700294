"""What an environment says of itself is looked at before anything else, and told in sentences that can be read."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from dadc_net.errors import ConfigError
from dadc_net.fit import spec_of
from dadc_net.team.agent_spec import AgentSpec
from dadc_net.team.environment import EnvironmentSpec
from dadc_net.team.spaces import BoxSpace, FiniteSpace, space_text


class Said(NamedTuple):
    """Something that says ``spec``, and is not moved."""

    spec: Any


def spec(actions: Any = None, observations: Any = None, agents: int = 2, public: Any = None) -> EnvironmentSpec:
    own = AgentSpec(observations or FiniteSpace((3,)), actions or FiniteSpace((2,)))
    public = public or FiniteSpace((1,))
    return EnvironmentSpec(name="room", agents=(own,) * agents, public_space=public, draws_per_step=1)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (None, r"the environment Said has None as spec instead of an EnvironmentSpec.*Give it"),
        (spec(agents=0), r"room has no agents.*at least one"),
        (spec(BoxSpace((0.0,), (1.0,))), r"agent 1 of room has the actions \{'kind': 'box'.*FiniteSpace\(\(n,\)\)"),
        (spec(FiniteSpace((2, 3))), r"agent 1 of room has the actions .*\[2, 3\].*combinations"),
        (spec("left"), r"agent 1 of room has the actions 'left'"),
        (spec(observations=7), r"the observation of agent 1 in room has 7 as its space"),
        (spec(public="sun"), r"what is public in room has 'sun' as its space.*Correct the EnvironmentSpec"),
    ],
)
def test_what_cannot_be_an_environment_is_told_in_a_sentence(said: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        spec_of(Said(said))  # type: ignore[arg-type]


def test_what_can_is_taken() -> None:
    assert spec_of(Said(spec())) == spec()  # type: ignore[arg-type]


def test_a_space_of_many_columns_does_not_fill_the_screen() -> None:
    assert space_text(FiniteSpace((3,))) == str(FiniteSpace((3,)).to_plain())
    wide = space_text(BoxSpace((0.0,) * 100_000, (1.0,) * 100_000))
    assert len(wide) < 200
    assert "100,000 columns" in wide
