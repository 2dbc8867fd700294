"""The paper's own problems (Appendix D) as finite models, where they are finite and small.

A finite model has no public observation: what everybody sees is part of each agent's own. It has no observation before the
first decision either. Multi-access broadcast loses nothing by that, because what is known at its start is always the same;
demand response gets a decision more, before the loads are there: it changes nothing, and its reward is 0, so that a value is
``discount`` times the problem's own.
"""

from __future__ import annotations

import itertools

from dadc_net.schema import require
from dadc_net.team.demand_response import ACTION_NAMES, FORCE_OFF, FORCE_ON, DemandResponseParameters
from dadc_net.team.finite.build import Parts, build_model, independent
from dadc_net.team.finite.model import FiniteModel
from dadc_net.team.multi_access_broadcast import BLANK, IDLE, MultiAccessBroadcastParameters

MOST_LOADS = 5
"""2^5 states, 3^5 joint actions and 12^5 joint observations."""
_SYMBOLS = ("idle", "busy", "blank")


def broadcast_model(parameters: MultiAccessBroadcastParameters | None = None, discount: float = 0.9) -> FiniteModel:
    """Multi-access broadcast: states are both buffers, the channel and the last channel symbol; 24 of them.

    An agent observes its own buffer and the symbol, which it has in common with the other.
    """
    chosen = parameters or MultiAccessBroadcastParameters()
    states = list(itertools.product((0, 1), (0, 1), (0, 1), range(len(_SYMBOLS))))
    idle_stays, busy_stays = chosen.stay_probabilities

    def sends(state: int, joint: Parts) -> Parts:
        """A device without a packet has nothing to send."""
        return tuple(min(action, buffer) for action, buffer in zip(joint, states[state][:2], strict=True))

    def succeeds(state: int, joint: Parts) -> bool:
        return sum(sends(state, joint)) == 1 and states[state][2] == IDLE

    def move(state: int, joint: Parts) -> dict[int, float]:
        busy, sent = states[state][2], sends(state, joint)
        left = [b - s * succeeds(state, joint) for b, s in zip(states[state][:2], sent, strict=True)]
        arrivals = zip(left, chosen.arrival_probabilities, strict=True)
        buffers = [{1: 1.0} if full else {0: 1.0 - arrives, 1: arrives} for full, arrives in arrivals]
        becomes_busy = busy_stays if busy else 1.0 - idle_stays
        symbol = busy if sum(sent) else BLANK
        law = independent([*buffers, {0: 1.0 - becomes_busy, 1: becomes_busy}])
        return {states.index((one, two, channel, symbol)): p for (one, two, channel), p in law.items()}

    def observe(_: Parts, state: int) -> dict[Parts, float]:
        one, two, symbol = (states[state][column] for column in (0, 1, 3))
        return {(one * len(_SYMBOLS) + symbol, two * len(_SYMBOLS) + symbol): 1.0}

    def reward(state: int, joint: Parts) -> float:
        sent = sum(sends(state, joint))
        return chosen.success_reward * succeeds(state, joint) - chosen.transmission_cost * sent

    busy = chosen.initial_busy_probability
    seen = tuple(f"{buffer}-{symbol}" for buffer in ("empty", "packet") for symbol in _SYMBOLS)
    return build_model(
        name="multi-access-broadcast",
        states=[f"b{one}{two}-{('idle', 'busy')[channel]}-{_SYMBOLS[symbol]}" for one, two, channel, symbol in states],
        actions=(("wait", "transmit"),) * 2,
        observations=(seen,) * 2,
        start={states.index((0, 0, channel, chosen.start_symbol)): p for channel, p in ((0, 1.0 - busy), (1, busy))},
        move=move,
        observe=observe,
        reward=reward,
        discount=discount,
    )


def demand_response_model(parameters: DemandResponseParameters, discount: float = 0.9) -> FiniteModel:
    """Demand response with a few loads: state 0 is before the start, the others are which loads are on.

    A load observes its own state and how many are on.

    Raises:
        ConfigError: for more than ``MOST_LOADS`` loads.
    """
    n = parameters.agents
    require(n <= MOST_LOADS, "env.agents", n, f"As a finite model, give 1 to {MOST_LOADS}.")
    loads = list(itertools.product((0, 1), repeat=n))
    on_probabilities, divergences = parameters.on_probabilities(), parameters.divergences()
    first = parameters.initial_on_probability

    def move(state: int, joint: Parts) -> dict[int, float]:
        if state == 0:
            on = [first] * n
        else:
            on = [float(on_probabilities[load, action]) for load, action in zip(loads[state - 1], joint, strict=True)]
        law = independent([{0: 1.0 - p, 1: p} for p in on])
        return {1 + loads.index(after): p for after, p in law.items()}

    def observe(_: Parts, state: int) -> dict[Parts, float]:
        after = loads[max(state - 1, 0)]
        return {tuple(load * (n + 1) + sum(after) for load in after): 1.0}

    def reward(state: int, joint: Parts) -> float:
        if state == 0:
            return 0.0
        costs = parameters.off_cost * joint.count(FORCE_OFF) + parameters.on_cost * joint.count(FORCE_ON)
        return -(costs / n + float(divergences[sum(loads[state - 1])]))

    return build_model(
        name="demand-response",
        states=["before", *("on" + "".join(map(str, on)) for on in loads)],
        actions=(tuple(name.replace(" ", "-") for name in ACTION_NAMES),) * n,
        observations=(tuple(f"{own}-of-{count}" for own in ("off", "on") for count in range(n + 1)),) * n,
        start={0: 1.0},
        move=move,
        observe=observe,
        reward=reward,
        discount=discount,
    )
