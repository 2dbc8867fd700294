"""A few steps before a run begins, taken twice: what would spoil a run after hours is found in a moment.

The rules are the kit's own, at the number of copies that the run has; ``check_task`` asks many more.

Axis letter: E copies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

from dadc_net.errors import UserCodeError
from dadc_net.team.conformance import behaviour_rules, common_rules, environment_rules
from dadc_net.team.conformance.finding import Finding
from dadc_net.team.conformance.trace import run
from dadc_net.team.environment import Environment
from dadc_net.team.outcome import admitted
from dadc_net.team.structures.structure import InformationStructure
from dadc_net.team.user_code import blame_owner

_STEPS = 4
"""Even, because a state is saved and restored in the middle."""


def try_out(make: Callable[[int], Environment], structure: InformationStructure, copies: int) -> None:
    """Move fresh environments by equal inputs, one of them restored in the middle, and look at z_t.

    One that cannot be wound back is not moved: it may be a machine, which nobody has asked to move yet.

    Args:
        make: E -> a fresh environment.

    Raises:
        NumericError: if what comes out is not in its space, or a reward is not finite.
        UserCodeError: if the environment or the structure is a user's and fails, or changes what it was given, or is moved
            by more than its inputs.
    """
    environment = make(copies)
    if not environment.spec.replayable:
        return
    try:
        _refuse("the environment", behaviour_rules.check_methods(environment))
        subject = environment_rules.make_subject(make, copies, _STEPS, 0)
        trace = run(environment, subject.inputs)
        for step, outcome in enumerate(trace.outcomes):
            admitted(outcome, subject.spec, copies, step)
        for check in (behaviour_rules.check_determinism, behaviour_rules.check_state):
            _refuse("the environment", check(subject, trace))
        _refuse("the environment", behaviour_rules.check_arguments(subject))
    except (Exception, SystemExit) as error:
        blame_owner("the environment", environment, error)
        raise
    try:
        seen = common_rules.StructureSubject(structure, subject.spec, trace, trace)
        _refuse("the information structure", common_rules.check_common(seen))
    except (Exception, SystemExit) as error:
        blame_owner("the information structure", structure, error)
        raise


def _refuse(what: str, findings: Iterator[Finding]) -> None:
    for finding in islice(findings, 1):
        raise UserCodeError(
            f"{what} breaks the rule {finding.rule!r} of an environment or structure, as {_STEPS} steps before the run have "
            f"shown: {finding.message} dadc conform finds more; --no-trial begins the run all the same."
        )
