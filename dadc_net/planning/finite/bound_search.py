"""Best-first search over team beliefs, with a proven lower and upper bound at every one (paper, dynamic program (2)).

A node is a team belief at a stage. Its options are prescriptions that have been tried, each with the nodes that may follow;
those not yet tried are in a ``PrescriptionSearch``, whose bound covers them all. A trial goes down from a node along the
option with the greatest upper bound, to the child whose gap weighs most, and takes the bounds back up (heuristic search
value iteration, Smith and Simmons 2004; without common information the order is that of A*, as in GMAA*-ICE, Oliehoek,
Spaan, Amato and Whiteson 2013).

What a prescription promises is what it would be worth if all memories became common once, now, and the structure went on as
it is afterwards. That is never too little. To make it less than far too much, the search looks ahead from such fresh
beliefs, too: they are problems of the same kind, one stage shorter, few, and met again and again (the idea of recursive
heuristics is that of RS-MAA*, Koops, Jansen, Junges and Simao 2023). Where nothing becomes common, two agents' prescriptions
are also looked at from farther away (``foresight``), once trying them one by one has cost as much.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

import numpy as np

from dadc_net.planning.finite.alike import Alike
from dadc_net.planning.finite.controllers import Begun
from dadc_net.planning.finite.foresight import Foresight, stages_from
from dadc_net.planning.finite.joint_beliefs import Array, Numbers, TooManyBeliefsError
from dadc_net.planning.finite.last_two import LastTwo
from dadc_net.planning.finite.outlook import Outlook
from dadc_net.planning.finite.prescription_search import PrescriptionSearch, Promise
from dadc_net.planning.finite.search_nodes import Caps, Node, Option
from dadc_net.planning.finite.team_belief import TeamBelief, TeamBeliefs, fresh

_MOST_ROUNDS = 5
_LOOKS_TO_SPELL_OUT = 1000
_NODE_BYTES = 700
_ROOM = 1 << 27
_FARTHEST = 6
"""Decisions of a look."""
_WORTHWHILE = 0.02
"""A look is taken again when fresh beliefs promise less by this share of what it has to fall."""


class BoundSearch:
    """The search, its nodes, and its root."""

    def __init__(
        self,
        beliefs: TeamBeliefs,
        outlook: Outlook,
        discount: float,
        tolerance: float,
        stop: Callable[[], bool],
        alike: Alike | None = None,
        room: int = _ROOM,
    ) -> None:
        """
        Args:
            tolerance: gaps of at most this are closed.
            stop: asked now and then; when it is true the search ends early, with bounds that hold.
            alike: finds beliefs that are the same by a symmetry of the model.
            room: bytes that one look may take.
        """
        self.beliefs = beliefs
        self.joint = beliefs.joint
        self.outlook = outlook
        self.discount = discount
        self.tolerance = tolerance
        self.stop = stop
        self.nodes: dict[tuple[int, bytes], Node] = {}
        self.bytes_held = 0
        self._better = Caps(beliefs.joint, self._hold)
        self._rounds: dict[tuple[int, int, int], int] = {}
        self._ahead: dict[tuple[int, int, int], list[tuple[float, Node]]] = {}
        self.deviation = 0.0
        """The largest distance in total mass of beliefs that were taken for one."""
        self._last_two = LastTwo(self.joint, discount)
        whole = beliefs.sharing.name == "no-sharing" and beliefs.sharing.memory_steps is None
        self._whole = whole
        """Whether nothing becomes common and nothing is forgotten."""
        far = Foresight(self.joint, discount, self._promised, room, self._hold, lambda: self.stop())
        self._foresight = far if whole and beliefs.agents == 2 else None
        self._alike = alike
        self.tried = 0
        """Options, at all nodes."""
        self.rows = 0
        """Joint memories in the beliefs that follow them."""
        self.origins: dict[int, tuple[BoundSearch, Node]] = {}
        """Vectors of the outlook that are values of policies found here -> the node with which the policy begins."""
        self.begun: dict[int, Begun] = {}
        """Vectors that are values of controllers."""
        self._nested = 0
        self._looks_ahead = True
        space = beliefs.joint.model.joint_actions
        self._sizes = space.sizes
        self._index = space.index
        self._actions = space.values(np.arange(space.num_values))
        self.root = self.node(outlook.start, fresh(0, beliefs.agents))

    def node(self, stage: int, belief: TeamBelief) -> Node:
        """The node of a belief, a new one if it has not been met."""
        key = (stage, belief.key)
        found = self.nodes.get(key)
        if found is None:
            upper = float(belief.weights @ self.outlook.upper(stage, belief.numbers))
            lower = float((belief.weights @ self.outlook.lower(stage, belief.numbers)).max())
            found = self.nodes[key] = Node(stage=stage, belief=belief, lower=min(lower, upper), upper=upper)
            self.bytes_held += _NODE_BYTES + 3 * belief.memories.nbytes + 4 * belief.weights.nbytes
            if self._alike is not None:
                before = self._alike.bytes_held
                found.kin = self._alike.kin(stage, belief)
                self.bytes_held += self._alike.bytes_held - before
                self.deviation = max(self.deviation, self._alike.deviation)
                self._share(found)
        else:
            self.deviation = max(self.deviation, float(np.abs(found.belief.weights - belief.weights).sum()))
        return found

    def _share(self, node: Node) -> None:
        """Whatever bounds one of the beliefs that are alike bounds all; a policy is each one's own."""
        kin = node.kin
        if kin is not None:
            kin.upper, kin.lower = min(kin.upper, node.upper), max(kin.lower, node.lower)
            node.upper = max(node.lower, kin.upper)

    def _is_known(self, node: Node) -> bool:
        """Whether it, or one like it, is closed."""
        known = node.gap if node.kin is None else node.upper - node.kin.lower
        return known <= max(self.tolerance, self.outlook.floor(node.stage))

    def is_closed(self, node: Node) -> bool:
        """Whether the bounds are as near to each other as they need be, or can be at this stage."""
        return node.gap <= max(self.tolerance, self.outlook.floor(node.stage))

    def scout(self, start: Node) -> None:
        """A trial without looking ahead: a policy, and so a lower bound, before time is spent on anything else."""
        self._looks_ahead = False
        self.trial(start)
        self._looks_ahead = True

    def trial(self, start: Node) -> None:
        """Go down once from ``start`` and take the bounds back up."""
        path: list[tuple[Node, Option]] = []
        node, allowed, enough = start, self.tolerance, -np.inf
        deepest, before = self.outlook.depth_ahead if self._nested else np.inf, self.rows
        while not self.stop():
            option = self._choose(node, enough)
            if option is None:
                break
            path.append((node, option))
            if len(path) >= deepest:
                break
            allowed = allowed / self.discount if self.discount > 0.0 else np.inf
            closed = max(allowed, self.outlook.floor(self.outlook.next(node.stage)))
            chance, child = max(option.children, key=lambda pair: pair[0] * (pair[1].gap - closed))
            if child.gap <= closed:
                break
            enough = self._enough(option, max(enough, node.lower), chance, child)
            node = child
        for node, option in reversed(path):
            node.spent += self.rows - before
            self._back_up(node, option)

    def _enough(self, option: Option, value: float, chance: float, child: Node) -> float:
        """What ``child`` must be worth at least for ``option`` to be worth more than ``value``."""
        missing = value - self._worth(option)
        return child.upper + missing / (self.discount * chance) if self.discount > 0.0 else -np.inf

    def _choose(self, node: Node, enough: float) -> Option | None:
        """The option to follow, tried now if need be; None where there is nothing left to learn.

        An upper bound that is no more than ``enough`` need not fall further: the way to this node is not worth taking then.
        """
        self._share(node)
        if self.outlook.is_over(node.stage) or self.is_closed(node) or node.upper <= enough:
            return None
        if node.untried is None:
            if self._ends_at_once(node):
                self._settle_last_two(node, enough)
                return None
            self._open(node)
            if self.outlook.is_last(node.stage):
                return None
        option = self._top(node)
        above = max(option.upper if option else -np.inf, node.lower)
        promise = self._peek(node, above)
        if promise is not None and self._look_farther(node, enough):
            promise = self._peek(node, above)
        if promise is not None:
            # Looking ahead may have come by this node, too.
            self._improve_promises(node, promise)
            option = self._top(node)
            promise = self._peek(node, max(option.upper if option else -np.inf, node.lower))
        self._lower_upper(node, option)
        if self.is_closed(node) or node.upper <= enough:
            return None
        return option if promise is None else self._try(node, promise)

    def _open(self, node: Node) -> None:
        """Order the prescriptions by what they promise, those tried left out."""
        belief = node.belief
        table = self._promised(node.stage, belief.numbers) * belief.weights[:, None]
        if node.untried is not None:
            node.untried.release()
        node.untried = PrescriptionSearch(belief.memories, table, self._sizes, hold=self._hold)
        node.promise = None
        if self.outlook.is_last(node.stage):
            promise = node.untried.pop(stop=self.stop)
            if promise is None:
                node.upper = min(node.upper, node.untried.bound)
            else:
                node.untried.release()
                node.lower = node.upper = promise.value
                node.last_actions, node.untried = promise.actions, None
                self._hold(promise.actions.nbytes)
            self._share(node)

    def _hold(self, change: int) -> None:
        self.bytes_held += change

    def _ends_at_once(self, node: Node) -> bool:
        """Whether two decisions are left with nothing becoming common in between, and plans for them are few."""
        two = not self.outlook.is_last(node.stage) and self.outlook.is_last(self.outlook.next(node.stage))
        return self._whole and two and node.last_actions is None and self._last_two.is_worth_it(len(node.belief.weights))

    def _settle_last_two(self, node: Node, enough: float) -> None:
        belief = node.belief
        known = self._last_two.bytes_held
        table = self._last_two.table(belief.numbers) * belief.weights[:, None]
        self._hold(self._last_two.bytes_held - known)
        search = PrescriptionSearch(belief.memories, table, self._last_two.sizes, enough, self._hold)
        plans = search.pop(enough, self.stop)
        search.release()
        if plans is None:
            node.upper = min(node.upper, search.bound)
        else:
            node.lower = node.upper = plans.value
            node.last_actions = self._last_two.first_actions(plans.actions)
            self.bytes_held += node.last_actions.nbytes
        self._share(node)

    def spell_out(self, node: Node) -> bool:
        """Give a node whose last two decisions were found as one its option, and what follows; also when time is up.

        Returns:
            Whether all that follows was found within some looks.
        """
        if node.last_actions is None or self.outlook.is_last(node.stage) or node.best is not None:
            return True
        looks, stop = itertools.count(), self.stop
        self.stop = lambda: next(looks) >= _LOOKS_TO_SPELL_OUT
        try:
            node.best = self._try(node, Promise(node.upper, node.last_actions))
            for _, child in node.best.children:
                self.trial(child)
        except TooManyBeliefsError:
            return False
        finally:
            self.stop = stop
        return all(child.last_actions is not None for _, child in node.best.children)

    def _peek(self, node: Node, above: float) -> Promise | None:
        """The best of the untried, if it promises more than ``above``."""
        untried = node.untried
        while node.promise is None:
            if untried is None:
                return None  # It has not been opened.
            promise = untried.pop(above, self.stop)
            if promise is None:
                return None
            if promise.actions.tobytes() not in node.tried:
                node.promise = promise
        return node.promise if node.promise.value > above else None

    def _improve_promises(self, node: Node, promise: Promise) -> None:
        """Look ahead from the fresh beliefs on which the best promise rests, and order promises anew, until it stays."""
        if len(node.belief.numbers) == 1 or node.looked_far:
            return  # It is a fresh belief, whose options are these, or other beliefs promise.
        allowed = 1 + min(_MOST_ROUNDS - 1, len(node.options).bit_length())
        while not self.stop():
            joint_actions = self._index(promise.actions)
            weight: dict[tuple[int, int], float] = {}
            for number, action, mass in zip(
                node.belief.numbers.tolist(), joint_actions.tolist(), node.belief.weights.tolist(), strict=True
            ):
                weight[number, action] = weight.get((number, action), 0.0) + mass
            less = [mass * self._look_ahead(node.stage, *pair, allowed) for pair, mass in sorted(weight.items())]
            # What is gained must be worth the new order.
            if sum(less) <= max(self.tolerance, self.outlook.worthwhile * node.gap):
                return
            self._open(node)
            found = self._peek(node, node.lower)
            if found is None:
                return
            promise = found

    def _look_farther(self, node: Node, enough: float) -> bool:
        """Order the untried by what they promise some decisions later, if enough was spent; whether they promise less."""
        belief, rows = node.belief, len(node.belief.numbers)
        if self._foresight is None or rows == 1 or node.spent < node.next_look:
            return False
        node.next_look = 2 * node.spent
        stages = list(stages_from(node.stage, self.outlook.next, self.outlook.is_last, _FARTHEST))
        stages = stages[: self._foresight.farthest(rows, node.spent, len(stages))]
        if len(stages) == 1:
            return False
        look = None
        for rounds in range(_MOST_ROUNDS):
            again = self._foresight.look(belief, stages, max(enough, node.lower))
            if again is None:
                break
            look = again
            rest = zip(look.numbers.tolist(), look.actions.tolist(), look.weights.tolist(), strict=True)
            if look.bound <= enough or self.outlook.is_last(stages[-1]):
                break
            less = [weight * self._look_ahead(stages[-1], number, action, 1 + rounds) for number, action, weight in rest]
            if sum(less) <= max(self.tolerance, _WORTHWHILE * (look.bound - max(enough, node.lower))) or self.stop():
                break
        if look is None:
            return False
        untried = PrescriptionSearch(belief.memories, look.table, self._sizes, hold=self._hold)
        if untried.bound >= node.untried_bound:
            untried.release()
            return False
        if node.untried is not None:
            node.untried.release()
        node.untried, node.promise, node.looked_far = untried, None, True
        return True

    def _promised(self, stage: int, numbers: Numbers) -> Array:
        """[n, JA] what fresh beliefs promise."""
        return np.minimum(self.outlook.upper_q(stage, numbers), self._better.at(stage)[numbers])

    def _look_ahead(self, stage: int, number: int, action: int, allowed: int) -> float:
        """Spend trials on what follows a fresh belief and a joint action; by how much that promises less now."""
        pair = (stage, number, action)
        if pair not in self._ahead:
            step = self.outlook.step(stage) + 1
            found = self.beliefs.following(fresh(number, self.beliefs.agents), self._actions[action][None, :], step)
            following = self.outlook.next(stage)
            self._ahead[pair] = [(chance, self.node(following, belief)) for chance, belief in found]
        rounds = self._rounds.get(pair, 0)
        if self._looks_ahead and rounds < allowed and self._nested < self.outlook.most_nested:
            self._rounds[pair] = rounds + 1
            self._nested += 1
            for _, child in self._ahead[pair]:
                for _ in range(self.outlook.first_budget * 4**rounds):
                    if self._is_known(child) or self.stop():
                        break
                    self.trial(child)
            self._nested -= 1
        ahead = sum(chance * child.upper for chance, child in self._ahead[pair])
        value = float(self.joint.reward(np.array([number]))[0, action]) + self.discount * ahead
        better = self._better.at(stage)
        before = min(float(better[number, action]), float(self.outlook.upper_q(stage, np.array([number]))[0, action]))
        better[number, action] = min(before, value)
        return max(0.0, before - value)

    def _try(self, node: Node, promise: Promise) -> Option:
        belief = node.belief
        node.promise = None
        node.tried.add(promise.actions.tobytes())
        joint_actions = self._index(promise.actions)
        reward = float(belief.weights @ self.joint.reward(belief.numbers)[np.arange(len(joint_actions)), joint_actions])
        following = self.outlook.next(node.stage)
        found = self.beliefs.following(belief, promise.actions, self.outlook.step(node.stage) + 1)
        option = Option(promise.actions, reward, [(p, self.node(following, after)) for p, after in found], np.inf)
        option.upper = min(promise.value, self._worth(option))
        self.tried += 1
        self.rows += sum(len(child.belief.weights) for _, child in option.children)
        heapq.heappush(node.options, (-option.upper, -self.tried, option))
        self.bytes_held += 2 * promise.actions.nbytes + 150 * len(option.children) + 300
        return option

    def _worth(self, option: Option) -> float:
        return option.reward + self.discount * sum(chance * child.upper for chance, child in option.children)

    def _top(self, node: Node) -> Option | None:
        """The option with the greatest upper bound; bounds that have fallen since are brought up to date on the way."""
        heap = node.options
        while heap:
            bound, order, option = heap[0]
            option.upper = min(option.upper, self._worth(option))
            if option.upper >= -bound:
                return option
            heapq.heapreplace(heap, (-option.upper, order, option))
        return None

    def _lower_upper(self, node: Node, option: Option | None) -> None:
        best = max(node.untried_bound, option.upper if option else -np.inf)
        node.upper = max(node.lower, min(node.upper, best))
        self._share(node)

    def _back_up(self, node: Node, option: Option) -> None:
        lower = option.reward + self.discount * sum(chance * child.lower for chance, child in option.children)
        if lower > node.lower:
            node.lower, node.best = lower, option
        self._lower_upper(node, self._top(node))
