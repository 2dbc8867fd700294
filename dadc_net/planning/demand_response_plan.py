"""The demand-response plan: optimum, the infinite population, the rule in words, and what a learned rule is worth.

A rule that looks at the present mean field only is valued exactly, by one linear solve. One that remembers is valued by
performance differences, V* - J = E sum_t gamma^t [V*(M_t) - Q*(M_t, h_t)], with exact Q*.
"""

from __future__ import annotations

import numpy as np

from dadc_net.exact.streams import Stream
from dadc_net.planning.coordinated_model import Array
from dadc_net.planning.demand_response import MeanFieldModel, MeanFieldSolution
from dadc_net.planning.evaluation import Estimate, Rule, horizon, mean_estimate
from dadc_net.planning.mean_field_limit import limit_value
from dadc_net.planning.planners import NoPlan, Plan, PlanProblem
from dadc_net.team.demand_response import ACTION_NAMES, OFF, ON, DemandResponse, DemandResponseParameters
from dadc_net.team.prescriptions import PrescriptionFamily
from dadc_net.team.structures.own_memory import MeanFieldSharing

SYMMETRIC = ("randomised", "deterministic")
"""Prescriptions that the program can plan and value."""
_SHOWN = 10
_RANDOM_DRAWS = 400


class DemandResponsePlan:
    """A solved problem."""

    def __init__(self, parameters: DemandResponseParameters, discount: float, prescriptions: str) -> None:
        """Raises NoPlan for prescriptions that are not symmetric."""
        if prescriptions not in SYMMETRIC:
            raise NoPlan(
                f"there is no exact plan for the prescriptions {prescriptions!r}. How many loads are on is a state only "
                f"while all loads follow the same prescription. Choose one of {', '.join(SYMMETRIC)}."
            )
        self.prescriptions = prescriptions
        self.model = MeanFieldModel(parameters, discount)
        self._deterministic = prescriptions == "deterministic"
        self.solution: MeanFieldSolution = (
            self.model.deterministic() if self._deterministic else self.model.randomised()
        )
        self.limit = limit_value(parameters, discount, self._deterministic)
        self.idle = self._constant((0, 0))
        self.random = self._random()

    def _everywhere(self, prescription: Array) -> Array:
        return np.tile(prescription, (self.model.loads + 1, 1, 1))

    def _constant(self, actions: tuple[int, int]) -> float:
        prescription = np.zeros((2, 3))
        prescription[[OFF, ON], list(actions)] = 1.0
        return self.model.start_value(self.model.policy_value(self._everywhere(prescription)))

    def _random(self) -> float:
        """Value of drawing theta anew at every step: one of the nine, or logits uniform on -5 .. 5 (400 fixed draws)."""
        model = self.model
        if self._deterministic:
            tables = np.eye(3)[np.array([(a, b) for a in range(3) for b in range(3)])]
        else:
            logits = np.random.Generator(np.random.Philox(0)).uniform(-5.0, 5.0, (_RANDOM_DRAWS, 2, 3))
            weights = np.exp(logits)
            tables = weights / weights.sum(axis=2, keepdims=True)
        states = np.arange(model.loads + 1)
        q = model.next_on(tables)
        # Bin(n - m, q_0) + Bin(m, q_1), averaged over theta: an average of outer products, summed along diagonals.
        kernel = np.zeros((len(states), len(states)))
        for on in states.tolist():
            joint = model.binomial(model.loads - on, q[:, OFF]).T @ model.binomial(on, q[:, ON]) / len(tables)
            place = np.add.outer(np.arange(joint.shape[0]), np.arange(joint.shape[1]))
            kernel[on] = np.bincount(place.reshape(-1), weights=joint.reshape(-1))
        reward = np.stack([model.reward(np.full(len(tables), on), tables).mean() for on in states.tolist()])
        return model.start_value(np.linalg.solve(np.eye(len(states)) - model.discount * kernel, reward))

    def estimate(self, family: PrescriptionFamily, rule: Rule, trajectories: int, stream: Stream) -> Estimate:
        """J of a rule, exactly where it has no memory."""
        if rule.is_memoryless:
            counts = np.arange(self.model.loads + 1)
            rule.begin(len(counts))
            tables = family.probabilities(rule.choose(counts[:, None]))[:, 0]
            return Estimate(self.model.start_value(self.model.policy_value(tables)), 0.0)
        return self._differences(family, rule, trajectories, stream)

    def _differences(self, family: PrescriptionFamily, rule: Rule, trajectories: int, stream: Stream) -> Estimate:
        model, value = self.model, self.solution.value
        law = np.tile(model.start, (trajectories, 1))
        loss = np.zeros(trajectories)
        rule.begin(trajectories)
        for t in range(horizon(model.discount)):
            thresholds = np.cumsum(law, axis=1)
            uniform = stream.uniforms(t, 1, trajectories)[0] * thresholds[:, -1]
            on = np.minimum(np.sum(thresholds <= uniform[:, None], axis=1), model.loads)
            tables = family.probabilities(rule.choose(on[:, None]))[:, 0]
            q = model.next_on(tables)
            law = np.stack([model.row(int(m), chance) for m, chance in zip(on, q, strict=True)])
            loss += model.discount**t * (value[on] - model.reward(on, tables) - model.discount * (law @ value))
        gap = mean_estimate(loss)
        return Estimate(self.solution.start_value - gap.value, gap.stderr)

    def visit_shares(self) -> Array:
        """Discounted share of time that the optimal rule spends at each number of loads: [N]."""
        model, rule = self.model, self.solution.prescriptions
        kernel = np.stack([model.row(on, q) for on, q in enumerate(model.next_on(rule))])
        system = np.eye(len(kernel)) - model.discount * kernel.T
        shares: Array = (1.0 - model.discount) * np.linalg.solve(system, model.start)
        return shares

    @property
    def start(self) -> str:
        """How a run begins, in words."""
        parameters = self.model.parameters
        return f"each of {parameters.agents} loads on with probability {parameters.initial_on_probability:.4f}"

    @property
    def method(self) -> str:
        """How the optimum was found, in words."""
        return f"policy iteration on {self.model.loads + 1} mean fields, {self.prescriptions} symmetric prescriptions"

    def text(self) -> str:
        """The plan in words."""
        found = self.solution
        lines = [
            f"task demand-response, prescriptions {self.prescriptions}, discount {self.model.discount}",
            f"start: {self.start}",
            f"optimum V* = {found.start_value:.6f} ({self.method}, residual {found.residual:.1e})",
            f"infinite population {self.limit:.6f}, doing nothing {self.idle:.6f}, random coordinator {self.random:.6f}",
            "optimal rule where it spends most of its (discounted) time:",
        ]
        shares = self.visit_shares()
        shown = sorted(np.argsort(-shares, kind="stable")[:_SHOWN].tolist())
        for on in shown:
            off_rule, on_rule = (self._words(found.prescriptions[on, state]) for state in (OFF, ON))
            lines.append(
                f"{100 * shares[on]:5.1f} %  share on {on / self.model.loads:.3f}: off loads {off_rule}; on loads {on_rule}"
            )
        lines.append(f"{100 * max(0.0, 1.0 - float(shares[shown].sum())):5.1f} %  elsewhere")
        return "\n".join(lines)

    @staticmethod
    def _words(chances: Array) -> str:
        if chances.max() > 0.9995:
            return ACTION_NAMES[int(chances.argmax())]
        parts = [f"{name} {100 * chance:.1f} %" for name, chance in zip(ACTION_NAMES, chances, strict=True) if chance > 5e-4]
        return ", ".join(parts)


def solve_demand_response(problem: PlanProblem) -> Plan:
    """The optimum by policy iteration on mean fields.

    Raises:
        NoPlan: for prescriptions that are not symmetric, or another environment or structure than those of the task.
    """
    same = problem.task.make is DemandResponse and problem.task.structure.name == MeanFieldSharing.name
    problem.require(same, "demand response under mean-field sharing")
    found = DemandResponsePlan(problem.parameters, problem.discount, problem.prescriptions)
    return Plan(
        value=found.solution.start_value,
        menu="",
        start=found.start,
        method=found.method,
        residual=found.solution.residual,
        random=found.random,
        round_robin=None,
        text=found.text(),
        estimate=found.estimate,
        estimator="exact linear solve",
        extra={"infinite_population": found.limit, "doing_nothing": found.idle},
    )
