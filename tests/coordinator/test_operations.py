"""A guard on the learner's path: which torch operations run at all while a run acts and updates.

Every number of the learner is made by NumPy on a grid. Networks are taken back by hand; a graph, and with it elementwise
float64 arithmetic by torch, is left to losses of the next AIS and to the quadratic critic. The list below is what torch may
be asked for. An operation outside it (a product, a sum, a square root, an optimiser's fused kernel) fails the test, for
every algorithm and every loss.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from dadc_net.config import resolve
from dadc_net.coordinator.losses import NEXT_AIS_LOSSES
from dadc_net.exact.streams import seed_bytes
from dadc_net.experiment import simulation
from dadc_net.experiment.simulation import Simulation
from tests.coordinator.test_learner import CASES

ELEMENTWISE = {"add", "sub", "rsub", "mul", "div", "neg", "clamp", "abs", "where", "bitwise_and", "bitwise_or",
               "logical_and", "logical_and_", "gt", "ge", "lt", "le", "eq"}
"""Correctly rounded by IEEE, or exact; ``add`` and ``sub`` only with alpha 1, see below."""
MOVING = {"view", "_unsafe_view", "reshape", "t", "transpose", "detach", "alias", "clone", "cat", "slice", "select",
          "slice_backward", "select_backward", "narrow", "expand", "unsqueeze", "squeeze", "_to_copy", "zeros_like",
          "ones_like", "new_zeros", "new_empty_strided", "zeros", "copy_", "lift_fresh", "_local_scalar_dense",
          "view_as", "permute", "as_strided", "is_same_size", "empty_like", "fill_", "full_like", "scalar_tensor"}
"""Copies and views: no arithmetic. What autograd itself would make of an index or a repetition adds up and is not here."""
ALLOWED = ELEMENTWISE | MOVING


class Guard(TorchDispatchMode):
    """Collects every operation, and those that the list does not allow."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.wrong: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        self.seen.add(name)
        if name not in ALLOWED or (kwargs or {}).get("alpha", 1) != 1:
            self.wrong.add(str(func))
        return func(*args, **(kwargs or {}))


def is_watched(guard: Guard, algorithm: str, losses: set[str]) -> bool:
    """Whether the guard saw a graph's arithmetic if, and only if, there is one."""
    has_graph = algorithm == "naf-dqn" or not losses.isdisjoint(NEXT_AIS_LOSSES)
    return guard.seen >= {"mul", "sub"} if has_graph else not guard.seen


PRESCRIPTIONS = {"menu": "menu", "factored": "factored", "box": "opportunity"}


@pytest.mark.parametrize(("algorithm", "theta", "loss"), CASES)
def test_only_allowed_operations_run(algorithm: str, theta: str, loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The self-test, which a simulation begins with, builds its inputs with torch; it is not the learner.
    monkeypatch.setattr(simulation, "pass_selftest", lambda: None)
    overrides = ["learner.num_envs=3", "learner.batch_steps=12", f"ais.loss={loss}", "learner.gradient_norm=0.5"]
    overrides += ["ais.truncation=2", "planning.window=3", "planning.warm_up=1", "planning.windows=4"]
    overrides += ["naf.window=3", "naf.warm_up=1", "naf.windows=4", "naf.first_steps=0", "naf.activation=relu"]
    overrides += ["learner.normalise_advantages=true", f"prescriptions={PRESCRIPTIONS[theta]}"]
    config = resolve("mabc", overrides, {"updates": 2, "algorithm": algorithm})
    with Guard() as guard:
        Simulation(config, seed_bytes(7), seed_bytes(1)).run()
    assert guard.wrong == set()
    assert is_watched(guard, algorithm, {loss})


@pytest.mark.parametrize("beside", NEXT_AIS_LOSSES)
def test_only_allowed_operations_run_with_two_losses(beside: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation, "pass_selftest", lambda: None)
    overrides = ["learner.num_envs=3", "learner.batch_steps=12", f"ais.beside={beside}", "ais.detach_target=false"]
    with Guard() as guard:
        Simulation(resolve("mabc", overrides, {"updates": 2}), seed_bytes(7), seed_bytes(1)).run()
    assert guard.wrong == set()
    assert is_watched(guard, "actor-critic", {beside})


LOADS = [(algorithm, "randomised") for algorithm in ("actor-critic", "ppo", "trpo", "naf-dqn")]
LOADS += [("q-actor-critic", "deterministic"), ("ppo", "deterministic"), ("ppo", "one-each")]


@pytest.mark.parametrize(("algorithm", "prescriptions"), LOADS)
@pytest.mark.parametrize("encoder", ["none", "gru"])
def test_only_allowed_operations_run_on_demand_response(
    algorithm: str, prescriptions: str, encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulation, "pass_selftest", lambda: None)
    overrides = ["learner.num_envs=3", "learner.batch_steps=12", "env.agents=5", f"ais.encoder={encoder}"]
    overrides += [f"prescriptions={prescriptions}", "naf.first_steps=0"]
    config = resolve("demand-response", overrides, {"updates": 2, "algorithm": algorithm})
    with Guard() as guard:
        Simulation(config, seed_bytes(7), seed_bytes(1)).run()
    assert guard.wrong == set()
    assert is_watched(guard, algorithm, set())


@pytest.mark.parametrize("name", ["sqrt", "tanh", "sum", "matmul", "exp", "norm"])
def test_the_guard_notices(name: str) -> None:
    x = torch.ones(2, 2, dtype=torch.float64)
    with Guard() as guard:
        getattr(torch, name)(*([x, x] if name == "matmul" else [x]))
    assert guard.wrong


def test_the_guard_notices_a_scaled_addition() -> None:
    x = torch.ones(2, dtype=torch.float64)
    with Guard() as guard:
        torch.add(x, x, alpha=0.5)
    assert guard.wrong
