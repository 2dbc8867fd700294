"""Section 5: equations (4), (5) and (6). A step of the learner against derivatives of the printed formulas.

With plain gradient steps (``schedule.optimiser = "sgd"``), a parameter's movement divided by the step size is the gradient
that the learner used. ``tests.paper.printed`` states each loss in plain NumPy, and differentiates it by differences.
"""

from __future__ import annotations

import numpy as np
import pytest

from dadc_net.coordinator.ais import StateApproximator
from tests.paper import printed
from tests.paper.one_update import AS_PRINTED, OneUpdate, batch_of, one_update, theorem_settings
from tests.paper.printed import Array, Parameters

DISCOUNT = 0.9
A, B, C = 0.5, 0.25, 0.125
"""Step sizes of state approximator, critic and actor at the first update."""
RATES = [f"ais.learning_rate={A}", f"q.critic_learning_rate={B}", f"learner.learning_rate={C}"]


def same(moved: dict[str, Array], expected: dict[str, Array]) -> bool:
    """Whether two sets of gradients agree, up to the grid that products are rounded on and the differences' own error."""
    return all(np.allclose(moved[name], expected[name], rtol=1e-4, atol=2e-6) for name in expected)


@pytest.fixture(scope="module")
def critic_step() -> OneUpdate:
    """One update with everything as printed."""
    return one_update(theorem_settings(*RATES, *AS_PRINTED))


@pytest.mark.parametrize("weight", [0.5, 0.2])
@pytest.mark.parametrize("loss", ["next-ais-nll", "next-observation"])
def test_equation_4_the_state_approximator_descends_its_loss(weight: float, loss: str) -> None:
    """Equation (4) with L_AIS = lambda L_R + (1 - lambda) L_nu; Deviation: descent instead of ascent, L_nu a mean."""
    chosen = [f"ais.loss={loss}", "ais.detach_target=false", f"ais.reward_loss_weight={weight}"]
    done = one_update(theorem_settings(*RATES, *chosen))
    terms = printed.next_ais_terms if loss == "next-ais-nll" else printed.next_observation_terms

    def loss_ais(p: Parameters) -> float:
        found = weight * printed.reward_terms(p, done.seen).mean() + (1.0 - weight) * terms(p, done.seen).mean()
        return float(found)

    gradient = printed.slopes(loss_ais, done.before["ais"])
    steps = {name: -change / A for name, change in done.moved("ais").items()}
    assert same(steps, gradient)
    assert not same({name: -step for name, step in steps.items()}, gradient)  # the printed sign
    assert done.losses["ais"] == pytest.approx(loss_ais(done.before["ais"]), abs=1e-6)


def test_l_r_and_l_nu_are_means_and_the_printed_sum_would_drown_lambda(critic_step: OneUpdate) -> None:
    """L_R = 1/B sum smoothL1(R^_t - R_t) as printed. Deviation: L_nu is printed without 1/B and a mean here, so that
    lambda weighs the two."""
    p, seen = critic_step.before["ais"], critic_step.seen
    errors = printed.reward_terms(p, seen)
    assert critic_step.losses["reward"] == pytest.approx(errors.mean(), abs=1e-6)
    assert (errors > 0.5).any()
    assert (errors < 0.5).any()  # both branches of smooth L1 were taken
    found = printed.next_ais_terms(p, seen)
    assert critic_step.losses["transition"] == pytest.approx(found.mean(), abs=1e-6)
    # A sum is B times the mean. With the paper's batch of 300 and lambda = 1/2 the reward would weigh a 301st part.
    assert found.sum() == pytest.approx(len(seen.rewards) * critic_step.losses["transition"], abs=1e-5)


def test_the_gaussian_loss_is_the_likelihood_up_to_a_constant(critic_step: OneUpdate) -> None:
    """L_nu = -log nu(x), nu = N(mean, I) (Section 5, E.1): what is left out does not depend on any parameter."""
    seen, constants = critic_step.seen, []
    for p in (critic_step.before["ais"], critic_step.after["ais"]):
        states = printed.encode(p, seen.inputs)
        means = printed.head(p, "transition.", np.concatenate((states[:-1], seen.codes), axis=1))
        density = np.prod(np.exp(-0.5 * (states[1:] - means) ** 2) / np.sqrt(2.0 * np.pi), axis=1)
        constants.append(-np.log(density) - printed.next_ais_terms(p, seen))
    assert np.allclose(constants, 1.5 * np.log(2.0 * np.pi))


def test_printed_ascent_on_a_loss_diverges_where_descent_converges(critic_step: OneUpdate) -> None:
    """Deviation: (4) is printed as xi + a grad L_AIS, although L_AIS is to be minimised."""
    approximator = critic_step.learner.approximator
    assert isinstance(approximator, StateApproximator)
    batch = batch_of(critic_step.seen, 3)
    start = critic_step.before["ais"]
    ends = {}
    for sign in (1.0, -1.0):
        for name, array in approximator.group.arrays.items():
            array[...] = start[name]
        losses = []
        for _ in range(40):
            found, weight = approximator.losses(batch), approximator.settings.reward_loss_weight
            losses.append(found.total)
            gradient = approximator.group.flat(found.gradients(weight, 1.0 - weight))
            approximator.group.values += sign * 0.2 * gradient
        ends[sign] = losses
    assert ends[1.0][0] == ends[-1.0][0]
    assert ends[1.0][-1] > 10.0 * ends[1.0][0]
    assert ends[-1.0][-1] < 0.5 * ends[-1.0][0]
    assert ends[1.0] == sorted(ends[1.0])


def critic_goals(done: OneUpdate, decay: float, phi: Parameters) -> Array:
    """What the critic is drawn to: x_t and psi with the parameters before the update."""
    seen = done.seen
    states = printed.encode(done.before["ais"], seen.inputs)
    q = printed.q_values(phi, states, seen.entries)
    sampled = q[np.arange(1, len(seen.thetas)), seen.thetas[1:]]
    # theta_B is drawn after the update, so the last step is followed by the expectation.
    last = (printed.psi(done.before["policy"], states[-1:]) * q[-1:]).sum()
    return printed.lambda_returns(seen.rewards, np.append(sampled, last), DISCOUNT, decay)


@pytest.mark.parametrize("decay", [0.0, 0.7, 1.0])
def test_equation_5_the_critic_is_drawn_to_its_target(decay: float) -> None:
    """Equation (5): L_TD = 1/B sum smoothL1(Q(x_t, theta_t), R_t + gamma Q(x_{t+1}, theta_{t+1})); or TD(lambda).

    Deviation: descent, and the target is data. Differentiating it as well, as the formula read literally would, gives
    another gradient (the negative control), and so does another lambda.
    """
    done = one_update(theorem_settings(*RATES, *AS_PRINTED, f"learner.trace_decay={decay}"))
    seen, phi = done.seen, done.before["critic"]
    states = printed.encode(done.before["ais"], seen.inputs)
    rows = np.arange(len(seen.thetas))

    def loss_td(p: Parameters, goals: Array) -> float:
        chosen = printed.q_values(p, states[:-1], seen.entries)[rows, seen.thetas]
        return float(printed.smooth_l1(chosen - goals).mean())

    goals = critic_goals(done, decay, phi)
    steps = {name: -change / B for name, change in done.moved("critic").items()}
    assert same(steps, printed.slopes(lambda p: loss_td(p, goals), phi))
    assert done.losses["critic"] == pytest.approx(loss_td(phi, goals), abs=1e-6)
    if decay < 1.0:
        assert not same(steps, printed.slopes(lambda p: loss_td(p, critic_goals(done, decay, p)), phi))
    other = critic_goals(done, 0.4, phi)
    assert not same(steps, printed.slopes(lambda p: loss_td(p, other), phi))


def test_with_lambda_zero_the_target_is_the_printed_one() -> None:
    """The line below equation (5), against the forward view that the test above uses."""
    rewards, following = np.array([1.0, -2.0, 0.5]), np.array([0.3, 0.2, -0.1])
    assert np.allclose(printed.lambda_returns(rewards, following, 0.9, 0.0), rewards + 0.9 * following)
    whole = 1.0 + 0.9 * -2.0 + 0.81 * 0.5 + 0.729 * -0.1
    assert printed.lambda_returns(rewards, following, 0.9, 1.0)[0] == pytest.approx(whole)


@pytest.mark.parametrize("gradient", ["sampled", "all", "corrected"])
def test_equation_6_the_actor_climbs_its_policy_gradient(gradient: str) -> None:
    """Equation (6): 1/B sum Q(x_t, theta_t) grad log psi(x_t, theta_t), by ascent, as printed.

    Q is the critic that (5) has just made; with the one before it, as printed, the step would be another. ``all`` puts the
    expectation over theta where the one sample stood; ``corrected`` adds the sample, times what its return exceeds Q by.
    """
    done = one_update(theorem_settings(*RATES, *AS_PRINTED, f"q.gradient={gradient}"))
    seen, vartheta = done.seen, done.before["policy"]
    states = printed.encode(done.before["ais"], seen.inputs)[:-1]
    rows = np.arange(len(seen.thetas))
    goals = critic_goals(done, done.learner.settings.learner.trace_decay, done.before["critic"])

    def gain(p: Parameters, phi: Parameters) -> float:
        q, chances = printed.q_values(phi, states, seen.entries), printed.psi(p, states)
        if gradient == "sampled":
            return float((q[rows, seen.thetas] * np.log(chances[rows, seen.thetas])).mean())
        expected = float((q * chances).sum(axis=1).mean())
        beyond = (goals - q[rows, seen.thetas]) * np.log(chances[rows, seen.thetas])
        return expected + float(beyond.mean()) if gradient == "corrected" else expected

    steps = {name: change / C for name, change in done.moved("policy").items()}
    expected = printed.slopes(lambda p: gain(p, done.after["critic"]), vartheta)
    assert same(steps, expected)
    assert not same({name: -step for name, step in steps.items()}, expected)
    assert not same(steps, printed.slopes(lambda p: gain(p, done.before["critic"]), vartheta))


def test_the_sampled_policy_gradient_is_the_whole_one_on_average(critic_step: OneUpdate) -> None:
    """Assumption 1 (3) for (6): averaged over theta ~ psi, the printed gradient is that of sum_theta psi(theta) Q(theta)."""
    seen, p = critic_step.seen, critic_step.before["policy"]
    x = printed.encode(critic_step.before["ais"], seen.inputs)[:1]
    q = printed.q_values(critic_step.before["critic"], x, seen.entries)[0]
    chances = printed.psi(p, x)[0]
    average: dict[str, Array] = {name: np.zeros(array.shape) for name, array in p.items()}
    for theta in range(seen.entries):
        score = printed.slopes(lambda v, theta=theta: float(np.log(printed.psi(v, x)[0, theta])), p)  # type: ignore[misc]
        for name in average:
            average[name] += chances[theta] * q[theta] * score[name]
    assert same(average, printed.slopes(lambda v: float((printed.psi(v, x)[0] * q).sum()), p))


def test_neither_critic_nor_actor_shapes_the_encoder(critic_step: OneUpdate) -> None:
    """Appendix C: the state estimation process is decoupled from the other two iterations."""
    rates = [f"ais.learning_rate={A}", "q.critic_learning_rate=2", "learner.learning_rate=2"]
    other = one_update(theorem_settings(*rates, *AS_PRINTED))
    assert all(np.array_equal(array, other.after["ais"][name]) for name, array in critic_step.after["ais"].items())
    assert not np.array_equal(critic_step.after["critic"]["output.bias"], other.after["critic"]["output.bias"])
