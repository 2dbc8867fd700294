"""Finite horizons: best-first search over team beliefs with a proven lower and upper bound at every one.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from dadc_net.planning.joint_beliefs import Array, JointBeliefs, Numbers
from dadc_net.planning.prescription_search import PrescriptionSearch
from dadc_net.planning.relaxations import FullSharingValues
from dadc_net.planning.team_belief import TeamBelief, TeamBeliefs, fresh


@dataclass(eq=False, slots=True)
class Option:
    actions: Numbers
    reward: float
    children: list[tuple[float, "Node"]]
    upper: float


@dataclass(eq=False, slots=True)
class Node:
    remaining: int
    belief: TeamBelief
    lower: float
    upper: float
    options: list[tuple[float, int, Option]] = field(default_factory=list)
    search: PrescriptionSearch | None = None
    opened: bool = False
    skip: set[bytes] = field(default_factory=set)
    best: Option | None = None
    ready: object = None


class FiniteHorizonSearch:
    def __init__(self, beliefs: TeamBeliefs, discount: float, horizon: int, full: FullSharingValues, budget: Callable[[int], int], tolerance: float, stop: Callable[[], bool]) -> None:
        self.stop = stop
        self.beliefs = beliefs
        self.joint = beliefs.joint
        self.discount = discount
        self.horizon = horizon
        self.full = full
        self.budget = budget
        self.tolerance = tolerance
        self.nodes: dict[tuple[int, int, bytes], Node] = {}
        self.refined: dict[tuple[int, int], dict[tuple[int, int], float]] = {}
        self.made = 0
        self.actions = joint_actions = beliefs.joint.model.joint_actions
        self.action_values = joint_actions.values(np.arange(joint_actions.num_values))
        self.root = self.node(horizon, fresh(0, beliefs.agents))
        self.trials = 0

    def phase(self, remaining: int) -> int:
        return (self.horizon - remaining) % self.beliefs.sharing.phases

    def node(self, remaining: int, belief: TeamBelief) -> Node:
        key = (remaining, self.phase(remaining), belief.key)
        found = self.nodes.get(key)
        if found is None:
            upper = float(belief.weights @ self.full.best(remaining, belief.numbers))
            if remaining==0: lower=upper=0.0
            else:
                lower = float((belief.weights @ self.joint.expected(belief.numbers, self.full.states.repeated(remaining))).max())
            found = self.nodes[key] = Node(remaining, belief, lower, upper)
        return found

    def promise(self, remaining: int, numbers: Numbers) -> Array:
        table = self.full.q(remaining, numbers)
        better = self.refined.get((remaining, self.phase(remaining)))
        if better:
            table = table.copy()
            rows: dict[int, list[int]] = {}
            for i, n in enumerate(numbers.tolist()):
                for a in range(table.shape[1]):
                    v = better.get((n, a))
                    if v is not None and v < table[i, a]: table[i, a] = v
        return table

    def reopen(self, node: Node) -> None:
        b = node.belief
        table = self.promise(node.remaining, b.numbers) * b.weights[:, None]
        node.search = PrescriptionSearch(b.memories, table, self.actions.sizes)
        node.opened = True
        node.ready = None

    def open(self, node: Node) -> None:
        self.reopen(node)
        if node.remaining == 1:
            node.lower = node.upper = self.peek(node).value
            return
        self.bound(node)

    def bound(self, node: Node) -> None:
        """Refine promises on which the best prescription not tried rests, until they are as good as the budget allows."""
        if node.remaining < 2: return
        better = self.refined.setdefault((node.remaining, self.phase(node.remaining)), {})
        T=len(node.belief.numbers)
        if T==1 and (node.belief.memories==0).all() and node.remaining==self.horizon: return
        while node.search is not None and not self.stop():
            promise = self.peek(node)
            if promise is None: return
            ja = self.actions.index(promise.actions)
            todo = {(n, a) for n, a in zip(node.belief.numbers.tolist(), ja.tolist()) if (n, a) not in better}
            if not todo or promise.value <= node.lower: return
            changed = False
            for n, a in sorted(todo):
                changed |= self.refine(node.remaining, n, a, better)
            if changed:
                self.reopen(node)

    def peek(self, node: Node):
        s = node.search
        if node.ready is None:
            while True:
                p = s.pop()
                if p is None: node.ready=None; return None
                if p.actions.tobytes() in node.skip: continue
                node.ready = p
                break
        return node.ready

    def refine(self, remaining: int, n: int, a: int, better) -> bool:
        old = float(self.full.q(remaining, np.array([n]))[0, a])
        point = fresh(n, self.beliefs.agents)
        better[(n, a)] = old
        children = self.beliefs.following(point, self.action_values[a][None, :], self.horizon - remaining + 1)
        value = 0.0
        for p, belief in children:
            child = self.node(remaining - 1, belief)
            self.improve(child, self.budget(remaining - 1))
            value += p * child.upper
        value = float(self.joint.reward(np.array([n]))[0, a]) + self.discount * value
        better[(n, a)] = min(old, value)
        return value < old - 1e-12

    def improve(self, node: Node, budget: int) -> None:
        for _ in range(budget):
            if node.upper - node.lower <= self.tolerance or self.stop(): return
            self.trial(node)

    def best_option(self, node: Node) -> Option | None:
        heap = node.options
        while heap:
            o = heap[0][2]
            u = o.reward + self.discount * sum(p * c.upper for p, c in o.children)
            if u < o.upper - 1e-13:
                o.upper = u
                heapq.heapreplace(heap, (-u, heap[0][1], o))
            else:
                return o
        return None

    def trial(self, node: Node) -> None:
        self.trials += 1
        if not node.opened:
            self.open(node)
            if node.remaining == 1: return
        option = self.best_option(node)
        promise = self.peek(node)
        if promise is not None and (option is None or promise.value > option.upper):
            self.bound(node)
            promise = self.peek(node)
        top = option.upper if option else -np.inf
        if promise is not None and promise.value > top:
            node.upper = min(node.upper, promise.value)
            if promise.value <= node.lower + 1e-12:
                node.upper = max(node.lower, top); 
                return
            option = self.make(node, promise)
        else:
            node.upper = min(node.upper, top)
        if node.upper <= node.lower + self.tolerance: return
        p, child = max(option.children, key=lambda pc: pc[0] * (pc[1].upper - pc[1].lower))
        if child.upper - child.lower > self.tolerance:
            self.trial(child)
        lower = option.reward + self.discount * sum(p * c.lower for p, c in option.children)
        if lower > node.lower:
            node.lower = lower
            node.best = option
        option = self.best_option(node)
        promise = self.peek(node)
        node.upper = max(node.lower, min(node.upper, max(option.upper if option else -np.inf, promise.value if promise else -np.inf)))

    def make(self, node: Node, promise) -> Option:
        node.ready = None
        node.skip.add(promise.actions.tobytes())
        b = node.belief
        ja = self.actions.index(promise.actions)
        reward = float(b.weights @ self.joint.reward(b.numbers)[np.arange(len(ja)), ja])
        children = [(p, self.node(node.remaining - 1, c)) for p, c in self.beliefs.following(b, promise.actions, self.horizon - node.remaining + 1)]
        u = reward + self.discount * sum(p * c.upper for p, c in children)
        o = Option(promise.actions, reward, children, u)
        self.made += 1
        heapq.heappush(node.options, (-u, -self.made, o))
        return o
