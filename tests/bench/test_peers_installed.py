"""The others as they are installed: the compiled environment and learner are ours in float32, and tasks say what happens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.bench.peers.order import BUDGETS, Run
from tests.bench.peers.problems import Copies, Problem, configured

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def mabc() -> Problem:
    return Problem("mabc")


def test_the_compiled_channel_is_the_environment(mabc: Problem) -> None:
    """Through two episodes with the same draws and prescriptions: outcomes, rewards, ends."""
    import jax

    from tests.bench.peers import jax_channel

    copies, random = Copies(mabc, 5, 0), np.random.default_rng(3)
    draws = random.random((610, 5, 3)).astype(np.float32)
    taken = iter(draws)
    copies._random = _Given(taken)  # type: ignore[assignment]
    space = copies.common_space
    seen, now, step = copies.begin(), jax_channel.begin(5), jax.jit(jax_channel.advance)
    last = False
    for index in range(600):
        outcomes = np.asarray(now.outcome)
        np.testing.assert_array_equal(seen, space.features(space.values(outcomes)))  # type: ignore[union-attr]
        assert bool(jax_channel.ends(now)) is last
        entry = random.integers(0, 4, 5)
        now = step(now, entry, draws[index + 1])
        if last:
            seen, rewards, last = copies.begin(), np.zeros(5), False
        else:
            seen, rewards, last = copies.advance(entry)
        np.testing.assert_allclose(np.asarray(now.reward), rewards, atol=1e-6)


class _Given:
    """Draws that were made before."""

    def __init__(self, draws: Any) -> None:
        self._draws = draws

    def random(self, shape: tuple[int, ...]) -> Any:
        found = next(self._draws)
        assert found.shape == shape
        return found


def _one_update(spoil: float = 0.0) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters after one update of the compiled learner, and of the plain torch learner on the same batch."""
    import jax
    import torch

    from dadc_net.bench.plain_learner import PlainBatch, PlainLearner
    from tests.bench.peers import jax_channel, jax_learner, jax_yardstick

    problem = Problem("mabc")
    settings = configured("mabc", "actor-critic", 10**9, ("learner.num_envs=4", "learner.batch_steps=80")).settings
    made = jax_yardstick.program(settings, jax_yardstick.outcome_space(problem))
    before = jax_learner.start(settings, made.inputs, seed=2)
    plain = PlainLearner(settings, made.inputs, jax_channel.OUTCOMES, torch.float32)
    layers = {
        **{"input": plain.embedding, "reward": plain.reward[0], "reward_output": plain.reward[2]},
        **{"transition": plain.transition[0], "transition_output": plain.transition[2], "trunk": plain.trunk[0]},
        **{"actor": plain.actor, "critic": plain.critic[0], "critic_output": plain.critic[2]},
    }
    places = {name: (layer.weight, layer.bias) for name, layer in layers.items()}
    cell = plain.recurrent
    places |= {"gates": (cell.weight_ih_l0, cell.bias_ih_l0), "recurrent": (cell.weight_hh_l0, cell.bias_hh_l0)}
    with torch.no_grad():
        for name, parts in {**before.encoder, **before.policy}.items():
            for place, part in zip(places[name], parts, strict=True):
                place.copy_(torch.tensor(np.asarray(part).T) + spoil)
    draws = jax.random.uniform(jax.random.split(before.key)[1], (20, 4, jax_channel.DRAWS + 1))
    after, rows = jax.lax.scan(made._act, before, draws)
    features = np.asarray(made._features)[np.asarray(after.channel.outcome)]
    last = np.concatenate((features, np.asarray(after.code)), 1)
    arrays = (
        np.concatenate((rows.inputs, last[None])),
        np.concatenate((rows.outcome, np.asarray(after.channel.outcome)[None])).astype(np.int64),
        np.asarray(rows.entry).astype(np.int64),
        np.asarray(rows.reward),
    )
    plain.update(PlainBatch(*map(torch.tensor, arrays)), torch.tensor(np.asarray(before.state)))
    moved = jax.jit(made._update)(before)
    ours = {name: np.asarray(part[0]) for name, part in {**moved.encoder, **moved.policy}.items()}
    theirs = {name: place[0].detach().numpy().T for name, place in places.items()}
    return ours, theirs


def test_an_update_of_the_compiled_learner_is_that_of_plain_torch() -> None:
    ours, theirs = _one_update()
    for name, moved in ours.items():
        np.testing.assert_allclose(moved, theirs[name], atol=2e-4, err_msg=name)


def test_other_parameters_would_be_noticed() -> None:
    ours, theirs = _one_update(spoil=0.01)
    assert max(np.abs(moved - theirs[name]).max() for name, moved in ours.items()) > 5e-3


def test_a_task_of_stable_baselines_says_what_the_copies_do(mabc: Problem) -> None:
    from tests.bench.peers.stable_baselines import CoordinatorTask

    task, copies = CoordinatorTask(mabc, 3, seed=4), Copies(mabc, 3, seed=4)
    np.testing.assert_array_equal(task.reset(), copies.begin())
    random = np.random.default_rng(0)
    for index in range(1, 301):
        chosen = random.integers(0, task.action_space.n, 3)  # type: ignore[attr-defined]
        seen, rewards, done, told = task.step(chosen)
        features, paid, last = copies.advance(chosen)
        np.testing.assert_array_equal(rewards, paid)
        assert done.tolist() == [index == 300] * 3 == [last] * 3
        shown = seen if not last else np.stack([one["terminal_observation"] for one in told])
        np.testing.assert_array_equal(shown, features.astype(np.float32))
    np.testing.assert_array_equal(seen, copies.begin().astype(np.float32))


@pytest.mark.parametrize(
    "contender",
    [
        *("dadc ppo", "dadc ppo, small batches", "jax actor-critic"),
        *("sb3 ppo", "sb3 ppo, small batches", "sb3 trpo", "sb3 recurrent-ppo"),
    ],
)
def test_every_contender_learns_and_is_valued(contender: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few steps: the value lies between what is possible, at ever later looks."""
    from tests.bench.peers import __main__ as command

    monkeypatch.setitem(BUDGETS, ("mabc", contender), 4096)
    if contender == "sb3 recurrent-ppo":
        from tests.bench.peers import stable_baselines

        *others, _settings = stable_baselines.CONTENDERS["recurrent-ppo"]
        monkeypatch.setitem(stable_baselines.CONTENDERS, "recurrent-ppo", (*others, {"n_steps": 8}))
        monkeypatch.setitem(BUDGETS, ("mabc", contender), 256)
    run = command.measured(Run("learn", "mabc", contender, 0))
    steps = [point.env_steps for point in run["curve"]]
    assert steps == sorted(set(steps))
    assert len(steps) >= 2
    assert all(-5.0 < point.value <= run["optimum"] + 1e-9 for point in run["curve"])
    assert set(run["levels"]) == {"0.95", "0.98", "0.99"}


def test_speeds_are_of_rounds_in_turn(mabc: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.bench.peers import speed

    monkeypatch.setattr(speed, "ROUNDS", 2)
    monkeypatch.setitem(speed.SPEED_STEPS, 64, 2560)
    found = speed.in_turn(mabc, 64)
    assert {library: len(rates) for library, rates in found.items()} == {"dadc": 2, "jax": 2}
    assert all(rate > 0.0 for rates in found.values() for rate in rates)
