"""Events and their observers: they come through a pipe as they were, and no observer can end a run."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from dataclasses import fields
from multiprocessing import Pipe
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from dadc_net.experiment.sweep import engine
from dadc_net.runtime import events
from dadc_net.runtime.control import Control
from dadc_net.runtime.events import Event, Learned, Left, Observers, Silent, Warned, from_plain
from dadc_net.runtime.history import HISTORY_NAME, read_history
from dadc_net.runtime.status import AgentStatus, TeamStatus

STATUS = AgentStatus(
    agent=1, present=True, answered=4, lag=1, silent_s=None, straggler=False, step_digest="ab", host="left"
)
SAMPLES: dict[Any, Any] = {
    int: 3,
    float: 0.1,
    bool: True,
    str: "ü",
    list[int]: [1, 2],
    dict[int, str]: {1: "ab"},
    dict[str, int]: {"message": 2},
    dict[str, float]: {"entropy": 1 / 3},
    dict[str, Any]: {"gap": None, "learning": {"value": [0.5]}},
    list[AgentStatus]: [STATUS],
}


def every_kind() -> Iterator[Event]:
    """One event of each kind, with something in every field."""
    assert engine.TrialFinished
    for kind in Event._KINDS.values():
        hints = get_type_hints(kind)
        given = {}
        for field in fields(kind):
            hint = hints[field.name]
            optional = get_origin(hint) is not None and type(None) in get_args(hint)
            given[field.name] = SAMPLES[get_args(hint)[0] if optional else hint]
        yield kind(**given)


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str | int) for key in value) and all(map(_is_plain, value.values()))
    return all(map(_is_plain, value)) if isinstance(value, list) else value is None or type(value) in (bool, int, float, str)


def test_every_kind_of_event_comes_through_a_pipe_as_plain_data() -> None:
    kinds = list(every_kind())
    assert len(kinds) >= 19
    assert any(isinstance(event, TeamStatus) for event in kinds)
    ours, theirs = Pipe()
    control = Control(theirs)
    for event in kinds:
        tag, given = event.to_plain()
        assert tag == type(event).__name__
        assert _is_plain(given)
        control.on(event)
        assert from_plain(ours.recv()) == event
    assert b"dadc_net" not in pickle.dumps(kinds[0].to_plain())


def test_an_unknown_tag_is_an_error() -> None:
    with pytest.raises(KeyError):
        from_plain(("NoSuchEvent", {}))


@pytest.mark.parametrize(
    "changes", [{"agent": "1"}, {"step": 1.5}, {"step": None}, {"agent": True}, {"agent": [1]}, {"more": 1}]
)
def test_fields_of_another_type_are_an_error(changes: dict[str, Any]) -> None:
    """A history is a file: what a screen does with an event must not depend on who wrote it."""
    assert from_plain(("Left", {"agent": 1, "step": 3})) == Left(agent=1, step=3)
    assert from_plain(("Silent", {"agent": 1, "seconds": 3})) == Silent(agent=1, seconds=3)
    with pytest.raises(TypeError):
        from_plain(("Left", {"agent": 1, "step": 3, **changes}))


def test_a_history_leaves_out_events_of_other_types(tmp_path: Path) -> None:
    sound = {"time": 1.0, "event": "Left", "agent": 1, "step": 3}
    lines = [sound, {**sound, "step": [3]}, {**sound, "agent": None}]
    (tmp_path / HISTORY_NAME).write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert list(read_history(tmp_path)) == [(1.0, Left(agent=1, step=3))]


def test_what_the_launcher_hears_elsewhere_is_kept_back() -> None:
    ours, theirs = Pipe()
    control = Control(theirs, kept_back=(Learned,))
    control.on(Learned(agent=2, update=1, env_steps=10, losses={}))
    control.on(Silent(agent=2, seconds=1.0))
    assert isinstance(from_plain(ours.recv()), Silent)
    assert not ours.poll()


class Remembers:
    def __init__(self) -> None:
        self.heard: list[Event] = []

    def on(self, event: Event) -> None:
        self.heard.append(event)


class Fails:
    def on(self, event: Event) -> None:
        raise ZeroDivisionError(str(event))


def test_an_observer_that_fails_is_left_out_and_said_to_be() -> None:
    before, after = Remembers(), Remembers()
    told = Observers(before, Fails(), after)
    first, second = Left(agent=1, step=3), Left(agent=2, step=4)
    told.on(first)
    told.on(second)
    assert [event for event in before.heard if not isinstance(event, Warned)] == [first, second]
    assert [event for event in after.heard if not isinstance(event, Warned)] == [first, second]
    (warned,) = [event for event in after.heard if isinstance(event, Warned)]
    assert "the observer Fails failed: ZeroDivisionError" in warned.text


def test_all_kinds_are_documented() -> None:
    assert all(kind.__doc__ and not kind.__doc__.startswith(f"{kind.__name__}(") for kind in Event._KINDS.values())
    assert events.__doc__
