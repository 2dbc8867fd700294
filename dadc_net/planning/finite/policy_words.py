"""A plan's policy in words: what every agent does after what it has seen, decision by decision.

    decision 2 (100.0 %): agent 1 listen after hear-left, hear-right; agent 2 listen after hear-left, hear-right

Percentages are probabilities of what is common then; equal rows are one line. A private history is written as the agent's
own observations since what it has seen last became common; histories that the plan treats alike stand together.
"""

from __future__ import annotations

import numpy as np

from dadc_net.planning.finite.controllers import Begun
from dadc_net.planning.finite.joint_beliefs import Numbers
from dadc_net.planning.finite.plan import TeamPlan
from dadc_net.planning.finite.search_view import Search, SearchNode
from dadc_net.planning.finite.sharing import TOLD

_MOST_LINES = 24
_MOST_HISTORIES = 12
_MOST_DECISIONS = 4
"""Without a horizon only the first decisions are spelled out."""

Histories = list[dict[int, list[str]]]
"""[K] memory -> the private histories that it stands for"""


def describe_plan(plan: TeamPlan) -> str:
    """The policy whose value is the lower bound, in at most a screenful."""
    agents = plan.search.beliefs.agents
    decisions = plan.horizon or _MOST_DECISIONS
    level: list[tuple[float, Search, SearchNode, Histories]] = [
        (1.0, plan.search, plan.root, [{0: [""]} for _ in range(agents)])
    ]
    lines: list[str] = []
    is_whole = True
    controllers: list[Begun] = []
    for decision in range(1, decisions + 1):
        said: dict[str, float] = {}
        following: list[tuple[float, Search, SearchNode, Histories]] = []
        for chance, within, found, known in level:
            is_whole = within.spell_out(found) and is_whole
            controller = _begun(within, found)
            if controller is not None:
                text = f"every agent begins controller {_numbered(controllers, controller)}"
                said[text] = said.get(text, 0.0) + chance
                continue
            search, node, histories = _started_over(within, found, known)
            is_whole = search.spell_out(node) and is_whole
            actions = _actions(search, node)
            text = _sentence(search, node, actions, histories)
            if node.best is None and node.last_actions is None and decision != plan.horizon:
                text += ", whatever happens, from now on"
            elif node.best is None and plan.horizon is None:
                text += ", and begins again"
            said[text] = said.get(text, 0.0) + chance
            if node.best is not None:
                following += _after(search, chance, node, actions, histories)
        for text, chance in sorted(said.items(), key=lambda item: -item[1]):
            lines.append(f"decision {decision} ({100.0 * chance:.1f} %): {text}")
        level = following
        if len(lines) > _MOST_LINES or not level:
            break
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], "and so on"]
    for number, controller in enumerate(controllers, start=1):
        lines += _controller_lines(plan.search, number, controller)
    if not is_whole:
        lines.append("not all last actions were found again in a short time: some above may be worth less than the bound")
    return "\n".join(lines)


def _begun(search: Search, node: SearchNode) -> Begun | None:
    """The controller that the lower bound of a node rests on, if it is one."""
    if node.best is not None or node.last_actions is not None:
        return None
    return search.begun.get(_vector(search, node))


def _numbered(controllers: list[Begun], controller: Begun) -> int:
    """Which of the controllers it is, from 1 on; a new one if it has not been met."""
    for number, known in enumerate(controllers, start=1):
        if known is controller:
            return number
    controllers.append(controller)
    return len(controllers)


def _controller_lines(search: Search, number: int, controller: Begun) -> list[str]:
    """Each agent's nodes that it can come to, from 1, where it begins: what it does there, and where it goes after what."""
    model, lines = search.joint.model, []
    for agent, first in enumerate(controller.nodes):
        actions, following = controller.controller.actions[agent], controller.controller.following[agent].tolist()
        met = [first]
        for node in met:
            met += [after for after in dict.fromkeys(following[node]) if after not in met]
        parts = []
        for place, node in enumerate(met, start=1):
            seen: dict[int, list[str]] = {}
            for observation, after in zip(model.observations[agent], following[node], strict=True):
                seen.setdefault(met.index(after) + 1, []).append(observation)
            ways = ", ".join(f"{after} after {_listed(names)}" for after, names in seen.items())
            then = f"then {next(iter(seen))}" if len(seen) == 1 else f"then {ways}"
            parts.append(f"{place} {model.actions[agent][actions[node]]}, {then}")
        lines.append(f"controller {number}, agent {agent + 1}: {'; '.join(parts)}")
    return lines


def _started_over(search: Search, node: SearchNode, histories: Histories) -> tuple[Search, SearchNode, Histories]:
    """Where the lower bound rests on a policy that is begun again with nothing remembered, its first node.

    What follows that node is known to the search that found the policy, which may be another one.
    """
    if node.best is not None or node.last_actions is not None:
        return search, node, histories
    origin = search.origins.get(_vector(search, node))
    return (search, node, histories) if origin is None else (*origin, [{0: [""]} for _ in histories])


def _vector(search: Search, node: SearchNode) -> int:
    """Which of the policies that begin without memory is best at a node."""
    return int((node.belief.weights @ search.outlook.lower(node.stage, node.belief.numbers)).argmax())


def _actions(search: Search, node: SearchNode) -> Numbers:
    """[T, K] what the lower bound rests on: an option, the last decision, or one joint action repeated."""
    if node.best is not None:
        actions: Numbers = node.best.actions
        return actions
    if node.last_actions is not None:
        return node.last_actions
    repeated = np.array(_vector(search, node))
    return np.tile(search.joint.model.joint_actions.values(repeated), (len(node.belief.weights), 1))


def _sentence(search: Search, node: SearchNode, actions: Numbers, histories: Histories) -> str:
    parts = []
    for agent, names in enumerate(search.joint.model.actions):
        chosen = dict(zip(node.belief.memories[:, agent].tolist(), actions[:, agent].tolist(), strict=True))
        by_action: dict[int, list[str]] = {}
        for memory, action in chosen.items():
            by_action.setdefault(action, []).extend(histories[agent].get(memory, ["?"]))
        if len(by_action) == 1:
            parts.append(f"agent {agent + 1} {names[next(iter(by_action))]}")
            continue
        phrases = [f"{names[action]} after {_listed(seen)}" for action, seen in sorted(by_action.items())]
        parts.append(f"agent {agent + 1} {', '.join(phrases)}")
    return "; ".join(parts)


def _listed(histories: list[str]) -> str:
    shown = histories[:_MOST_HISTORIES]
    more = f" | {len(histories) - len(shown)} more" if len(histories) > len(shown) else ""
    return " | ".join(shown) + more


def _after(
    search: Search, chance: float, node: SearchNode, actions: Numbers, histories: Histories
) -> list[tuple[float, Search, SearchNode, Histories]]:
    """The nodes that may follow, with the private histories that each memory stands for there."""
    step = search.outlook.step(node.stage) + 1
    beliefs, names = search.beliefs, search.joint.model.observations
    result: list[tuple[float, Search, SearchNode, Histories]] = []
    for probability, belief in beliefs.following(node.belief, actions, step):
        after: Histories = [{} for _ in range(beliefs.agents)]
        for agent in range(beliefs.agents):
            became = dict(zip(*(part.tolist() for part in belief.words[agent]), strict=True)) if belief.words else None
            present = set(belief.memories[:, agent].tolist())
            for memory, action in dict(
                zip(node.belief.memories[:, agent].tolist(), actions[:, agent].tolist(), strict=True)
            ).items():
                words = beliefs.private_words(agent, node.belief, memory, action, step)
                played = search.joint.model.actions[agent][action] + "/" if beliefs.with_actions else ""
                for observation, word in enumerate(words):
                    label = word if became is None else became.get(word, -1)
                    if label in present:
                        _extend(
                            after[agent],
                            label,
                            histories[agent].get(memory, ["?"]),
                            played + names[agent][observation],
                            search,
                        )
        result.append((chance * probability, search, search.node(search.outlook.next(node.stage), belief), after))
    return result


def _extend(into: dict[int, list[str]], label: int, before: list[str], observed: str, search: Search) -> None:
    """Add what ``before`` becomes with one observation more; nothing private is left where all became common."""
    sharing = search.beliefs.sharing
    kept = into.setdefault(label, [])
    if sharing.commons:
        observed = observed.partition(TOLD)[0]
    for history in before:
        seen = [*history.split(" "), observed] if history else [observed]
        limit = sharing.delay_steps or (sharing.memory_steps + 1 if sharing.memory_steps is not None else len(seen))
        text = " ".join(seen[-limit:])
        if text not in kept:
            kept.append(text)
