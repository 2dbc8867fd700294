"""An optimal coordination rule in words: where it spends its time, what it prescribes there, and how much hangs on it.

    17.3 %  P(channel busy) = 0.750, P(buffer 1 full) = 1.000, P(buffer 2 full) = 1.000: agent 2 may transmit (next best:
            agent 1 may transmit, 0.0072 worse)

Percentages are of discounted time and add up to 100. "Worse" is the loss from the second best at this step alone.
"""

from __future__ import annotations

import numpy as np

from dadc_net.planning.coordinated_model import Array, CoordinatedModel
from dadc_net.planning.evaluation import horizon
from dadc_net.planning.value_iteration import Solution

_SHOWN_BELIEFS = 12
_SETTLED = 1e-13


def describe_belief(model: CoordinatedModel, belief: int) -> str:
    """One belief, column by column."""
    pairs = zip(model.columns, model.beliefs[belief], strict=True)
    return ", ".join(f"{name} = {value:.3f}" for name, value in pairs)


def visit_shares(model: CoordinatedModel, solution: Solution, discount: float) -> Array:
    """Discounted share of time that the optimal rule spends at each belief: [N], summing to 1."""
    best = solution.best()
    everyone = np.arange(len(best))
    probability, following = model.probability[everyone, best], model.next_belief[everyone, best].reshape(-1)
    law: Array = np.zeros(len(best))
    law[model.start] = 1.0
    shares: Array = np.zeros(len(best))
    steps = horizon(discount, 1e-9)
    for t in range(steps):
        shares += (1.0 - discount) * discount**t * law
        moved = np.bincount(following, weights=(law[:, None] * probability).reshape(-1), minlength=len(best))
        settled = float(np.abs(moved - law).sum()) <= _SETTLED
        law = moved.astype(np.float64)
        if settled:
            break
    # What is left of discounted time goes where the law has come to rest, or, after the horizon, is next to nothing.
    return shares + (1.0 - float(shares.sum())) * law


def describe_policy(model: CoordinatedModel, solution: Solution, discount: float, most: int = _SHOWN_BELIEFS) -> str:
    """The optimal rule at the ``most`` beliefs where it spends most time, and what the second best would cost there."""
    shares = visit_shares(model, solution, discount)
    best = solution.best()
    lines = ["optimal rule where it spends most of its (discounted) time:"]
    shown = [belief for belief in np.argsort(-shares, kind="stable")[:most].tolist() if shares[belief] > 0.0]
    for belief in shown:
        line = f"{100 * shares[belief]:5.1f} %  {describe_belief(model, belief)}: {model.prescriptions[best[belief]]}"
        others = [entry for entry in range(len(model.prescriptions)) if entry != best[belief]]
        if others:
            second = max(others, key=lambda entry: solution.q[belief, entry])
            loss = max(0.0, solution.value[belief] - solution.q[belief, second])
            much = f"{loss:.4f} worse" if loss >= 5e-5 else "as good"
            line += f" (next best: {model.prescriptions[second]}, {much})"
        lines.append(line)
    rest = 100.0 * max(0.0, 1.0 - float(shares[shown].sum()))
    lines.append(f"{rest:5.1f} %  elsewhere")
    return "\n".join(lines)
