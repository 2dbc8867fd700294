"""Runs whose report is hard to lay out: many agents, long names, wide figures, a divergence, learners that differ."""

from __future__ import annotations

from dataclasses import replace

from dadc_net.experiment.kept_runs import DIVERGED, FINISHED, STOPPED, RunSummary
from dadc_net.experiment.learned_table import TableRow
from dadc_net.experiment.run_story import RunStory
from dadc_net.runtime.events import Failed, Joined, Left, Restarted

LONG = "a-host-whose-name-is-as-long-as-names-may-be." * 5
AGENTS = range(1, 101)

MANY = RunStory(
    summary=RunSummary(
        path="/home/somebody/experiments/2026/november/" + "demand-response_with_a_long_name" * 4,
        state=FINISHED,
        task="/home/somebody/teams/of_a_hundred_loads_that_differ.py:make_the_task_of_this_team",
        structure="mean-field-sharing",
        algorithm="ppo",
        seed=2**63,
        agents=len(AGENTS),
        copies=4096,
        update=123_456_789,
        updates=123_456_789,
        env_steps=9_876_543_210,
        reward_per_step=-1.5,
        values={"value": -1_234_567.8901, "optimum": 98_765_432.1, "random": -9e9, "gap": 12345.6789},
        digests={str(agent): "ab" * 32 for agent in AGENTS},
        hosts={str(agent): f"{agent}.{LONG}" for agent in AGENTS},
        size=12_345_678_901,
    ),
    result={"best_constant_prescription": ", ".join(["rest/ring/wait"] * 100), "wall_s": 1e6, "lockstep_per_s": 0.001}
    | {"env_steps_per_s": 12_345_678.9, "value_monte_carlo": -1e12, "value_monte_carlo_stderr": 3e11},
    values=[(1000.0 * k, -9e9 + 1e6 * k) for k in range(3000)],
    rewards=[(1000.0 * k, 1e-7 * k) for k in range(3000)],
    history=[(1e9 + k, Joined(agent=k, hostname=f"{k}.{LONG}", missing=list(range(k + 1, 101)))) for k in AGENTS]
    + [(2e9 + k, Left(agent=1 + k % 100, step=k)) for k in range(300)],
    agreement="101 parties agree on 123,456,789 records and 123,456,789 updates.",
    agreed=True,
    rule=[TableRow(2, "3 1 4 1 5 " * 20, ", ".join(["rest/ring/wait"] * 100), 0.001)],
    rule_note="",
    sizes={"server": 10**10, **{f"agent {agent}": 10**8 for agent in AGENTS}},
    configuration=f'task = "{"x" * 300}"\n' + "key = 1\n" * 300,
    troubles=["the optimum could not be computed: " + "tables.of.transitions." * 30],
)
DIVERGED_ONE = replace(
    MANY,
    summary=replace(MANY.summary, state=DIVERGED, values={}, digests={}, update=0, updates=None, agents=2),
    result={},
    values=[],
    rewards=[(20.0, 0.0)],
    history=[
        (1e9, Restarted(party="agent-2", signal=9, times=1)),
        (
            1e9 + 5,
            Failed(party="agent-1", exit_code=10, text="the replicas diverged: " + "0123456789abcdef" * 40, speaker=""),
        ),
    ],
    agreement="first divergence at step 103, phase act, component ais, tensor " + "encoder.recurrent.weight" * 10,
    agreed=False,
    rule=[],
    rule_note="The rule was not played.",
    sizes={},
    configuration="",
)
INDEPENDENT = replace(
    MANY,
    summary=replace(MANY.summary, state=STOPPED, digests={str(agent): f"{agent:064x}" for agent in AGENTS}),
    agreed=None,
    agreement="The journals were not compared.",
    rule=[],
    rule_note="Its prescriptions are no menu, or its learners are independent: there is no table.",
    history=[],
)
