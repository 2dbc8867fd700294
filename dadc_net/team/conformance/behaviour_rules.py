"""How an environment behaves: determinism, copies, begins, state, arguments. Front door: ``entry.py``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadc_net.team.conformance.environment_rules import Subject
from dadc_net.team.conformance.finding import Finding
from dadc_net.team.conformance.trace import Inputs, Trace, copied, first_difference, make_inputs, one_array, run
from dadc_net.team.environment import Environment, Outcome


def check_determinism(subject: Subject, trace: Trace) -> Iterator[Finding]:
    """Equal inputs, equal outcomes."""
    again = run(subject.make(subject.copies), subject.inputs)
    difference = first_difference(trace.outcomes, again.outcomes, subject.everyone)
    if difference:
        yield Finding(
            "determinism",
            f"two fresh environments with equal inputs differ: {difference}. Something besides the inputs decides. "
            "Take every random number from the draws, and read no clock, generator or global variable; a world that cannot "
            "do so gives its EnvironmentSpec replayable=False.",
        )


def check_copies(subject: Subject, trace: Trace) -> Iterator[Finding]:
    """Copy e behaves the same at another row, among other and more copies."""
    extra = 3
    wide = make_inputs(subject.spec, subject.copies + extra, subject.steps, 97)
    place = subject.everyone + extra
    for name in ("actions", "begin", "draws"):
        getattr(wide, name)[:, place] = getattr(subject.inputs, name)
    among = run(subject.make(subject.copies + extra), wide)
    difference = first_difference(trace.outcomes, among.outcomes, place)
    if difference is None:
        alone = run(subject.make(1), subject.inputs.rows(np.array([0])))
        difference = first_difference(trace.outcomes, alone.outcomes, np.array([0]))
    if difference:
        yield Finding(
            "copies",
            f"a copy depends on its neighbours or its row: {difference}, with {subject.copies} copies and another number of "
            "them. Copy e must depend on row e of the inputs only. Reduce over agents, never over copies.",
        )


def check_begin(subject: Subject, trace: Trace) -> Iterator[Finding]:
    """A copy that begins ignores its action and forgets its past."""
    ignored = run(subject.make(subject.copies), subject.inputs.with_other_actions_at_begin(subject.spec))
    difference = first_difference(trace.outcomes, ignored.outcomes, subject.everyone)
    if difference:
        yield Finding(
            "begin",
            f"the action given to a copy that begins has an effect: {difference}. A begin comes before any action. "
            "Overwrite the state of copies with begin after stepping, or step the others only.",
        )
    half = subject.steps // 2
    fresh = np.ones((1, subject.copies), dtype=np.bool_)
    second = subject.inputs.steps(slice(half, None))
    second = Inputs(second.actions, np.concatenate((fresh, second.begin[1:])), second.draws)
    pasts = (subject.inputs.steps(slice(half)), subject.other_inputs.steps(slice(half)))
    futures = []
    for past in pasts:
        environment = subject.make(subject.copies)
        run(environment, past)
        futures.append(run(environment, second).outcomes)
    difference = first_difference(futures[0], futures[1], subject.everyone, half)
    if difference:
        yield Finding(
            "begin",
            f"a copy that began at lock-step {half} remembers what was before: {difference}. The two runs differ only "
            "before that lock-step. Set every part of the state afresh where begin is true.",
        )


def check_methods(environment: Environment) -> Iterator[Finding]:
    """``state`` and ``restore`` are there, unless the environment says that it cannot be wound back."""
    missing = [name for name in ("state", "restore") if not callable(getattr(environment, name, None))]
    if missing and environment.spec.replayable:
        yield Finding(
            "state",
            f"the environment {environment.spec.name} has no {' and no '.join(missing)}, and its specification does not say "
            "that it cannot be wound back. A restarted server could not come back to where it was. Write them, or give the "
            "EnvironmentSpec replayable=False.",
        )


def check_state(subject: Subject, trace: Trace) -> Iterator[Finding]:
    """``state`` is a complete copy; ``restore`` continues from it and leaves it alone."""
    half = subject.steps // 2
    environment = subject.make(subject.copies)
    run(environment, subject.inputs.steps(slice(half)))
    state = environment.state()
    strange = [name for name, part in state.items() if not (isinstance(name, str) and isinstance(part, np.ndarray))]
    if strange:
        yield Finding(
            "state",
            f"state() holds {strange} as something else than an array. A checkpoint keeps arrays by name only. "
            "Convert with numpy.asarray.",
        )
        return
    kept = {name: part.copy() for name, part in state.items()}
    ended = trace.outcomes[half - 1].ended != 0
    rest = subject.inputs.steps(slice(half, None))
    run(environment, rest, ended)
    if changed := _changed(state, kept):
        yield Finding(
            "state",
            f"state() gives live arrays: {changed} changed as the environment went on. A checkpoint would change after it "
            "was taken. Return copies.",
        )
    twin = subject.make(subject.copies)
    given = {name: part.copy() for name, part in kept.items()}
    twin.restore(given)
    difference = first_difference(trace.outcomes[half:], run(twin, rest, ended).outcomes, subject.everyone, half)
    if difference:
        yield Finding(
            "state",
            f"an environment restored at lock-step {half} goes on differently: {difference}. State is missing from "
            "state() or is not taken back by restore(). Save and restore every array that a step changes.",
        )
    if changed := _changed(given, kept):
        yield Finding(
            "state",
            f"restore() keeps the caller's arrays: {changed} changed as the environment went on. The checkpoint would be "
            "spoilt by using it. Copy what is restored.",
        )


def _changed(now: dict[str, NDArray[Any]], before: dict[str, NDArray[Any]]) -> list[str]:
    return [name for name, part in before.items() if not np.array_equal(now[name], part)]


def check_arguments(subject: Subject) -> Iterator[Finding]:
    """``advance`` changes neither its arguments nor what it returned before."""
    environment = subject.make(subject.copies)
    names = ("joint_action", "begin", "draws")
    previous: tuple[Outcome, Outcome] | None = None
    before = np.zeros(subject.copies, dtype=np.bool_)
    rows = zip(subject.inputs.actions, subject.inputs.begin, subject.inputs.draws, strict=True)
    for step, (actions, planned, draws) in enumerate(rows):
        given = (actions.copy(), planned | before, draws.copy())
        kept = [part.copy() for part in given]
        outcome = environment.advance(*given)
        for name, part, original in zip(names, given, kept, strict=True):
            if not np.array_equal(part, original):
                yield Finding(
                    "arguments",
                    f"advance changed its argument {name} at lock-step {step}. The caller goes on using it. Work on a copy.",
                )
                return
        if previous:
            for field in Outcome._fields:
                if not np.array_equal(one_array(getattr(previous[0], field)), one_array(getattr(previous[1], field))):
                    yield Finding(
                        "arguments",
                        f"{field} returned at lock-step {step - 1} changed at lock-step {step}. Information structures keep "
                        "past steps. Return a copy of the state, not the state itself.",
                    )
                    return
        previous = (outcome, copied(outcome))
        before = outcome.ended != 0
