"""Value iteration on all that a search has found, for both bounds at once: what trials would carry back one path at a time.

Only where stages recur, so that beliefs follow one another in circles. Each sweep applies the operator of the dynamic
program (2), restricted to the options that have been tried; the untried count with their bound. Both bounds stay proven
at every sweep, because the operator is monotone and each bound is only ever replaced by a better one.
"""

from __future__ import annotations

import numpy as np

from dadc_net.planning.finite.bound_search import BoundSearch

_MOST_SWEEPS = 400


def settle(search: BoundSearch, change: float) -> None:
    """Sweep until no bound moves by more than ``change``, or 400 times."""
    nodes = list(search.nodes.values())
    place = {id(node): i for i, node in enumerate(nodes)}
    owners = [i for i, node in enumerate(nodes) if node.options]
    options = [option for i in owners for _, _, option in nodes[i].options]
    if not options:
        return
    counts = np.array([len(nodes[i].options) for i in owners])
    starts = np.cumsum(counts) - counts
    sizes = np.array([len(option.children) for option in options])
    firsts = np.cumsum(sizes) - sizes
    chance = np.array([p for option in options for p, _ in option.children])
    child = np.array([place[id(node)] for option in options for _, node in option.children])
    reward = np.array([option.reward for option in options])
    untried = np.array([nodes[i].untried_bound for i in owners])
    lower, upper = np.array([node.lower for node in nodes]), np.array([node.upper for node in nodes])
    worth = reward
    for sweep in range(_MOST_SWEEPS):
        if sweep and search.stop():
            break
        worth = reward + search.discount * np.add.reduceat(chance * lower[child], firsts)
        promised = reward + search.discount * np.add.reduceat(chance * upper[child], firsts)
        raised = np.maximum(lower[owners], np.maximum.reduceat(worth, starts))
        lowered = np.minimum(upper[owners], np.maximum(untried, np.maximum.reduceat(promised, starts)))
        moved = max(float((raised - lower[owners]).max()), float((upper[owners] - lowered).max()))
        lower[owners], upper[owners] = raised, lowered
        if moved <= change:
            break
    for owner, start, count in zip(owners, starts.tolist(), counts.tolist(), strict=True):
        node = nodes[owner]
        if lower[owner] > node.lower:
            node.best = options[start + int(np.argmax(worth[start : start + count]))]
        node.lower, node.upper = float(lower[owner]), float(max(lower[owner], upper[owner]))
