"""Conformance kit: does a user's environment, information structure or task keep the contract of this package?

In a test of your own package:

    from dadc_net.team.conformance import check_task

    def test_my_task_conforms():
        assert check_task(my_task()) == []

Every finding says which rule is broken, where, and what to do. The kit drives the environment with random but
reproducible actions and numbers; it can show that a rule is broken, never that it is kept for all inputs.

Rules of an environment (``team/environment.py``): declared shapes and spaces, types that are exact; no randomness but its
draws; copy e depends on row e only; a copy that begins forgets its past and ignores its action; ``state`` and ``restore``
hold all of it; arguments and earlier results are left alone; it does not truncate by itself.

Rules of an information structure (``team/structures``): ``common`` is a pure function of the last joint steps of
one episode; ``local`` cannot see common information, (L1); local values stay in a declared space, (L2).
"""

from __future__ import annotations

from dadc_net.team.conformance.entry import check_chosen, check_environment, check_task
from dadc_net.team.conformance.finding import Finding

__all__ = ["Finding", "check_chosen", "check_environment", "check_task"]
