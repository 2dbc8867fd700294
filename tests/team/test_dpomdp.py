"""The .dpomdp format: what is read, what is refused and how, and that writing closes the circle."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dadc_net.errors import UsageError
from dadc_net.team.finite.build import build_model
from dadc_net.team.finite.dpomdp.reader import DpomdpFile, read_dpomdp
from dadc_net.team.finite.dpomdp.rewards import LAST_LINE
from dadc_net.team.finite.dpomdp.writer import write_dpomdp
from dadc_net.team.finite.model import FiniteModel
from dadc_net.team.finite.models.shipped import SHIPPED
from dadc_net.team.finite.sparse_rows import SparseRows

HEADER = """agents: 2
discount: 0.9
values: reward
states: up down
start:
0.25 0.75
actions:
go wait
3
observations:
2
yes no
"""
TABLES = """T: * :
uniform
O: * :
uniform
"""
BODY = HEADER + TABLES


def read(text: str, rewards: str = "added") -> DpomdpFile:
    return read_dpomdp(text, "try.dpomdp", rewards)


def model(text: str) -> FiniteModel:
    return read(text).model


def test_a_small_file() -> None:
    found = model(
        BODY + "T: go 2 :\nidentity\nT: wait * : up : down : 1\nT: wait * : up : up : 0\nR: go * : down : * : * : -3\n"
    )
    assert found.name == "try"
    assert found.states == ("up", "down")
    assert found.actions == (("go", "wait"), ("0", "1", "2"))
    assert found.observations == (("0", "1"), ("yes", "no"))
    assert found.start.tolist() == [0.25, 0.75]
    assert found.transitions[0].dense().tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert found.transitions[2].dense().tolist() == [[1, 0], [0, 1]]
    assert found.transitions[4].dense().tolist() == [[0, 1], [0.5, 0.5]]
    assert found.observation_probabilities[5].dense().tolist() == [[0.25] * 4] * 2
    assert found.expected_rewards.tolist() == [[0.0, -3.0]] * 3 + [[0.0, 0.0]] * 3


def test_one_number_is_a_joint_index_and_two_are_one_each() -> None:
    joint = model(BODY + "T: 4 :\nidentity\n")
    parts = model(BODY + "T: 1 1 :\nidentity\n")
    assert joint == parts
    assert [table.dense()[0, 1] for table in joint.transitions] == [0.5, 0.5, 0.5, 0.5, 0.0, 0.5]
    observed = model(BODY + "O: * : down : 2 : 1\nO: * : down : 0 * : 0\nO: * : down : 1 no : 0\n")
    assert observed.observation_probabilities[0].dense().tolist() == [[0.25] * 4, [0, 0, 1, 0]]


@pytest.mark.parametrize(
    ("given", "start"),
    [
        ("start:\nuniform", [0.5, 0.5]),
        ("start: uniform", [0.5, 0.5]),
        ("start: down", [0.0, 1.0]),
        ("start: 0", [1.0, 0.0]),
        ("start:\n0.1\n0.9", [0.1, 0.9]),
        ("start include: down up", [0.5, 0.5]),
        ("start include: 1", [0.0, 1.0]),
        ("start exclude: down", [1.0, 0.0]),
        ("start include:\nup", [1.0, 0.0]),
    ],
)
def test_starts(given: str, start: list[float]) -> None:
    assert model(BODY.replace("start:\n0.25 0.75", given)).start.tolist() == start


def test_what_may_be_written_otherwise_means_the_same() -> None:
    plain = BODY + "T: go 1 : up : up : 0.25\nT: go 1 : up : down : 0.75\nR: wait 2 : down : * : * : 7\n"
    rows = BODY + "T: go 1 : up :\n0.25 0.75\nR: wait 2 : down : * : * : 7\n"
    loose = (
        BODY.replace("\n", "  # a remark, T: R: O:\n\n").replace("up down", '"up"   "down"')
        + "T: go 1 : up : up 0.25\r\nT : go 1:up:down:.75\n\n#é\nR: wait 2 : down : 7e0  # short\n"
    )
    colonless = BODY + "T: go 1 : up : up 0.25\nT: go 1 : up : down +0.75\nR: wait 2 : down : * : * 7.0\n"
    assert model(plain) == model(rows) == model(loose) == model(colonless)


def test_matrices_and_rows() -> None:
    text = (
        BODY
        + "T: go 0 :\n0.1 0.9\n1 0\nO: go 0 :\n0.1 0.2 0.3 0.4\n1 0 0 0\n"
        + "O: go 1 : down :\n0 0 0 1\nT: go 1 : up :\nuniform\n"
    )
    found = model(text)
    assert found.transitions[0].dense().tolist() == [[0.1, 0.9], [1, 0]]
    assert found.observation_probabilities[0].dense().tolist() == [[0.1, 0.2, 0.3, 0.4], [1, 0, 0, 0]]
    assert found.observation_probabilities[1].dense()[1].tolist() == [0, 0, 0, 1]


def test_later_lines_overwrite_entry_by_entry() -> None:
    text = BODY + "T: * : * : * : 0\nT: * : * : up : 1\nT: go 0 : down : up : 0\nT: go 0 : down : down : 1\n"
    assert model(text).transitions[0].dense().tolist() == [[1, 0], [0, 1]]
    with pytest.raises(UsageError, match=r"probabilities sum to 1\.5 in transitions from the state 'down'"):
        model(BODY + "T: go 0 : down : up : 1\n")


SEEN = "O: * : * : * : 0\nO: * : up : 0 yes : 1\nO: * : down : 1 no : 0.5\nO: * : down : 0 no : 0.5\n"


@pytest.mark.parametrize(
    ("rewards", "added", "last"),
    [
        ("R: go 0 : up : * : * : 4\n", 4.0, 4.0),
        ("R: go 0 : up : down : * : 4\n", 2.0, 2.0),
        ("R: go 0 : up : * : * : 4\nR: go 0 : up : down : * : 6\n", 7.0, 5.0),
        ("R: go 0 : up : down : * : 6\nR: go 0 : up : * : * : 4\n", 4.0, 4.0),
        ("R: go 0 : up : down : * : 6\nR: go 0 : up : down : * : 6\n", 6.0, 3.0),
        ("R: go 0 : up : down : 1 no : 8\n", 2.0, 2.0),
        ("R: go 0 : up : down : * no : 8\n", 4.0, 4.0),
        ("R: go 0 : up : * : * yes : 8\n", 4.0, 4.0),
        ("R: go 0 : up : down :\n1 2 4 8\n", 2.5, 2.5),
        ("R: go 0 : up :\n1 2 4 8\n16 32 64 128\n", 0.5 + 16.0 + 32.0 - 8.0, 0.5 * 1 + 0.5 * (0.5 * 32 + 0.5 * 128)),
    ],
)
def test_both_readings_of_rewards(rewards: str, added: float, last: float) -> None:
    text = BODY + SEEN + rewards
    one, other = read(text), read(text, LAST_LINE)
    assert one.model.expected_rewards[0, 0] == pytest.approx(added)
    assert other.model.expected_rewards[0, 0] == pytest.approx(last)
    warned = any("two readings" in warning for warning in one.warnings)
    assert warned == (abs(added - last) > 1e-9)
    assert warned == any("two readings" in warning for warning in other.warnings)


def test_costs_are_negative_rewards_and_said_so() -> None:
    found = read(BODY.replace("values: reward", "values: cost") + "R: go * : up : * : * : 3\nR: go 0 : up : down : * : 1\n")
    assert found.model.expected_rewards[:2, 0].tolist() == [-3.5, -3.0]
    assert any("costs" in warning for warning in found.warnings)


def test_rewards_above_probabilities_are_told() -> None:
    found = read(HEADER + "R: * : * : up : * : 1\n" + TABLES)
    assert found.model.expected_rewards[0].tolist() == [0.5, 0.5]
    assert any("line 13: a reward with an end state stands above" in warning for warning in found.warnings)
    assert read(HEADER + "R: * : * : * : * : 1\n" + TABLES).warnings == ()


def test_rounded_numbers_are_accepted_and_told() -> None:
    found = read(BODY + "T: go 0 : up :\n0.3333333 0.6666666\n")
    assert any("within 1e-07" in note for note in found.notes)
    assert any("do not depend on the state" in note for note in found.notes)
    assert any("R(s, a, s')" in note for note in read(BODY + "R: * : * : up : * : 1\n").notes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"line 1: found the end of the file\. Expected 'agents' in the header"),
        (HEADER.replace("agents: 2\n", ""), r"line 1: found 'discount'\. Expected 'agents'"),
        (HEADER.replace("discount: 0.9\n", "discount: 0.9\ndiscount: 1\n"), r"line 3: found 'discount'\. Expected 'values'"),
        (HEADER.replace("0.9", "1.2"), r"line 2: found 1\.2\. Expected a discount from 0 to 1"),
        (HEADER.replace("0.9", "nan"), r"line 2: found 'nan'"),
        (HEADER.replace("reward", "money"), r"line 3: found 'money'\. Expected reward or cost"),
        (HEADER.replace("up down", "up up"), r"line 4: found 'up' twice"),
        (HEADER.replace("up down", "up 7up"), r"line 4: found '7up'\. Expected a name among the states"),
        (HEADER.replace("up down", "T O"), r"line 4: found 'T'"),
        (HEADER.replace("0.25 0.75", "0.25 0.25 0.5"), r"line 6: found 3 numbers\. Expected 2 numbers, one probability per"),
        (HEADER.replace("0.25 0.75", "0.25 half"), r"line 6: found 'half'\. Expected a number"),
        (HEADER.replace("start:\n0.25 0.75", "start: left"), r"line 5: found 'left'\. Expected a state: up, down, an index"),
        (HEADER.replace("start:\n0.25 0.75", "start exclude: 0 1"), "line 5: found every state excluded"),
        (HEADER.replace("go wait\n3\n", "go wait\n"), r"line 7: found 1 lines of actions\. Expected 2 lines below it"),
        (HEADER.replace("up down", '"up "down"'), r'line 4: found "'),
        (HEADER.replace("up down", '"u p" down'), r'line 4: found "u p"\. Expected a name without spaces'),
        (HEADER.replace("up down", "9999999"), r"line 4: found 9999999\. Expected 1 to 1000000 states"),
        (HEADER.replace("3\n", "999999\n"), r"1999998 joint actions.*There may be 100000\."),
        (
            BODY + "T: go 3 : up : up : 1\n",
            r"line 17: found '3'\. Expected an action of agent 2: 0, 1, 2, an index from 0 to 2",
        ),
        (BODY + "T: stop 1 : up : up : 1\n", r"line 17: found 'stop'\. Expected an action of agent 1: go, wait"),
        (
            BODY + "T: 6 : up : up : 1\n",
            r"line 17: found '6'\. Expected 2 actions, one per agent, a joint index from 0 to 5",
        ),
        (BODY + "T: go : up : up : 1\n", r"line 17: found 'go'\. Expected 2 actions"),
        (BODY + "T: go 1 1 : up : up : 1\n", r"line 17: found 'go 1 1'\. Expected 2 actions, one per agent"),
        (BODY + "T: go 1 : up : left : 1\n", r"line 17: found 'left'\. Expected a state"),
        (BODY + "O: go 1 : up : 4 : 1\n", r"line 17: found '4'\. Expected 2 observations"),
        (BODY + "T: go 1 : up : up : one\n", r"line 17: found 'one'\. Expected a number behind the last colon"),
        (BODY + "T: go 1 : up : up : 1_0\n", r"line 17: found '1_0'\. Expected a number"),
        (
            BODY + "T: go 1 : up\n",
            r"line 17: found 'T: go 1 : up'\. Expected T: joint action : from : to : number, or numbers below",
        ),
        (BODY + "O: go 1 : up : * 20\n", r"line 17: found '\* 20'\. Expected a colon before the number"),
        (BODY + "T: go 1 : : up : 1\n", r"line 17: found nothing between two colons"),
        (BODY + "T: go 1 :\n0.5 0.5\n", r"line 18: found 2 numbers\. Expected 4 numbers, a matrix of 2 rows of 2"),
        (BODY + "T: go 1 : up :\n0.5 0.5 0\n", r"line 18: found 3 numbers\. Expected 2 numbers, one row"),
        (BODY + "O: go 1 :\nidentity\n", r"line 18: found 'identity'\. Expected uniform, or a matrix of numbers"),
        (BODY + "T: go 1 :\nreset\n", r"line 18: found 'reset'"),
        (BODY + "T: go 1 : up : up : 0.5\n0.5\n", r"line 18: found '0.5'\. Expected T, O or R at the beginning of a line"),
        (
            BODY + "R: go 1 : up : up : 20\n",
            r"line 17: .*Expected .*R: joint action : from : to : joint observation : number",
        ),
        (BODY + "R: go 1 :\n1 2 3 4\n", "Expected a state, or"),
        (BODY + "R: go 1 : up :\n1 2 3 4\n", r"found 4 numbers\. Expected 8 numbers, a matrix of 2 rows of 4"),
        (HEADER + "O: * :\nuniform\n", r"nothing is given in transitions from the state 'up' under the joint action go 0"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as raised:
        read(text)
    assert str(raised.value).count(". ") >= 2


WHOLE = (
    BODY + "# a remark\nT: go 1 : up : up : 0.25\nT: go 1 : up : down : 0.75\nT: 2 :\nidentity\nT: go 0 : up :\n0.5 0.5\n"
    "O: * : down : 1 no : 0.25\nO: wait 0 :\n0.1 0.2 0.3 0.4\n1 0 0 0\nR: wait 2 : down : * : * : 7\n"
    "R: * : up : down : 0 * : -1\nR: go 0 : up :\n1 2 3 4\n5 6 7 8\n"
)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_whatever_is_done_to_a_file_it_is_read_or_refused_in_three_sentences(data: st.DataObject) -> None:
    tokens = re.split(r"(\s+|:)", WHOLE)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(tokens) - 1))
        other = data.draw(
            st.sampled_from(tokens) | st.sampled_from(["", "*", '"', "#", "-1", "1e999", "9" * 30, "\x00", "é"])
        )
        tokens[place] = other
    refused = ""
    try:
        found = read("".join(tokens))
    except UsageError as error:
        refused = str(error)
    if refused:
        assert refused.count(". ") >= 2
    else:
        assert read_dpomdp(write_dpomdp(found.model), "try.dpomdp").model == found.model


def test_an_unknown_reading_is_refused() -> None:
    with pytest.raises(UsageError, match="Choose one of added, last-line"):
        read(BODY, "first-line")


def test_one_agent() -> None:
    text = "agents: 1\ndiscount: 1\nvalues: reward\nstates: 2\nstart: 0\nactions:\nlisten open\nobservations:\n2\n"
    body = "T: * :\nuniform\nO: * :\nuniform\nR: listen : 0 : * : * : 2\n"
    found = model(text + body)
    assert found.expected_rewards.tolist() == [[2.0, 0.0], [0.0, 0.0]]
    assert model(write_dpomdp(found)) == found


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_is_written_and_read_back_bit_for_bit(name: str) -> None:
    made = SHIPPED[name]()
    found = read_dpomdp(write_dpomdp(made), f"{name}.dpomdp")
    assert found.model == made
    assert found.warnings == ()
    assert write_dpomdp(found.model) == write_dpomdp(made)


WEIGHTS = st.lists(st.floats(1e-3, 1.0), min_size=3, max_size=3)


@settings(max_examples=25, deadline=None)
@given(WEIGHTS, WEIGHTS, st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3), st.booleans())
def test_any_model_is_written_and_read_back_bit_for_bit(
    moved: list[float], seen: list[float], reward: list[float], arrival: bool
) -> None:
    law = {s: w / sum(moved) for s, w in enumerate(moved)}
    made = build_model(
        name="try",
        states=("a", "b", "c"),
        actions=(("x", "y-1"), ("z",)),
        observations=(("o",), ("0", "1", "2")),
        start=law,
        move=lambda s, _: {(s + t) % 3: p for t, p in law.items()},
        observe=lambda _, s: {(0, (s + o) % 3): w / sum(seen) for o, w in enumerate(seen)},
        reward=lambda s, joint: reward[s] * (1 - joint[0]),
        arrival_reward=(lambda s: reward[-s]) if arrival else None,
        discount=0.95,
    )
    assert read_dpomdp(write_dpomdp(made), "try.dpomdp").model == made


def test_a_name_that_the_format_cannot_hold_is_refused() -> None:
    made = SHIPPED["dec-tiger"]()
    for name in ("a b", "7", "T", ""):
        with pytest.raises(UsageError, match="cannot be written to a"):
            write_dpomdp(_renamed(made, name))


def _renamed(made: FiniteModel, name: str) -> FiniteModel:
    return FiniteModel(
        name=made.name,
        states=("fine", name),
        actions=made.actions,
        observations=made.observations,
        start=made.start,
        transitions=made.transitions,
        observation_probabilities=made.observation_probabilities,
        rewards=made.rewards,
        discount=made.discount,
    )


def test_a_broad_line_costs_no_dense_table() -> None:
    states = 3000
    lines = [f"agents: 1\ndiscount: 1\nvalues: reward\nstates: {states}\nstart: 0\nactions:\n1\nobservations:\n1\n"]
    lines.append("T: * : * : * : 0\nT: * :\nidentity\nO: * : * : * : 1\n")
    lines += [f"R: * : * : {s} : * : 1\n" for s in range(0, states, 3)]
    found = model("".join(lines))
    assert len(found.transitions[0].data) == states
    assert isinstance(found.rewards[0], SparseRows)
    assert found.expected_rewards.sum() == states / 3
    assert np.array_equal(found.expected_rewards[0] == 1.0, np.arange(states) % 3 == 0)
