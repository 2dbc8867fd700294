"""Live progress on standard error: one line that is redrawn on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dadc_net.cli.event_text import trouble_text
from dadc_net.cli.figures_text import LINE_WIDTH, duration_text, fitting, rate_text, size_text
from dadc_net.cli.status_line import StatusLine, bar
from dadc_net.experiment.comparison import trouble_words
from dadc_net.runtime.events import Evaluated, Event, Updated
from dadc_net.storage.kept_run import size_of

if TYPE_CHECKING:
    from dadc_net.experiment.evaluation import Exact, Valuation

_PLAIN_LINES = 10
_MOST_LISTED = 10
_SIZE_SECONDS = 5.0


class Progress:
    """The observer that shows how far a run is, its speed, reward and value, that digests are equal, and troubles."""

    def __init__(
        self,
        updates: int,
        quiet: bool,
        agreed: str = "digests equal",
        describe: Callable[[Event], str] = trouble_text,
        folder: Path | None = None,
    ) -> None:
        """
        Args:
            folder: whose size is shown.
            agreed: what has been compared and found equal at every update that is shown; empty where nothing is compared.
            describe: the line for an event; empty where there is none.
        """
        self._line = StatusLine(quiet)
        self._agreed = agreed
        self._describe = describe
        self._updates = updates
        self._valued: Evaluated | None = None
        self._next_plain = 1
        self._folder = folder
        self._size, self._sized = 0, float("-inf")

    def on(self, event: Event) -> None:
        """Show ``event``, if it is one that is shown."""
        if isinstance(event, Updated):
            self._update(event)
        elif isinstance(event, Evaluated):
            self._valued = event
        elif text := self._describe(event):
            self.note(text)

    def _update(self, event: Updated) -> None:
        is_last = event.update == self._updates
        if not self._line.is_terminal:
            if event.update * _PLAIN_LINES >= self._next_plain * self._updates:
                self._next_plain = event.update * _PLAIN_LINES // self._updates + 1
                self.note(self._text(event, LINE_WIDTH))
        elif self._line.due(is_last):
            text = self._text(event, self._line.width)
            room = max(0, min(30, self._line.width - len(text) - 3))
            self._line.draw((f"{bar(event.update / self._updates, room)} " if room >= 5 else "") + text)
        if is_last:
            self.close()

    def _text(self, event: Updated, width: int) -> str:
        """At most ``width`` characters: what matters less is left out where there is no room."""
        rate = event.lock_steps_here / max(event.seconds, 1e-9)
        left = (self._updates - event.update) * event.lock_steps / max(event.update, 1) / max(rate, 1e-9)
        valued = self._valued
        has_value = valued is not None and valued.value is not None
        parts = [
            (0, f"update {event.update}/{self._updates}"),
            (1, f"value {valued.value:.4f}" if valued is not None and valued.value is not None else ""),
            (7, _share_text(valued) if valued is not None and has_value else ""),
            *[(1, word) for word in (_troubles(valued) if valued is not None and has_value else [])],
            (2, f"{rate_text(rate)} lock-steps/s" if rate > 0 else ""),
            (3, f"{duration_text(left)} left" if rate > 0 and event.update < self._updates else ""),
            (4, self._size_text()),
            (6, f"reward/step {event.reward_per_step:+.4f}"),
            (5, self._agreed),
        ]
        return fitting(parts, width)

    def _size_text(self) -> str:
        """What the folder holds; looking takes time, and is not done for every line."""
        if self._folder is None:
            return ""
        now = time.monotonic()
        if now - self._sized >= _SIZE_SECONDS:
            self._sized, self._size = now, size_of(self._folder)
        return size_text(self._size)

    def close(self) -> None:
        """End the redrawn line."""
        self._line.close()

    def note(self, text: str) -> None:
        """A line of its own."""
        self._line.note(text)


def _share_text(event: Evaluated) -> str:
    """The value's share of a way to the optimum, if one is known."""
    share, since = event.best_constant_share, "best constant"
    if event.round_robin_share is not None:
        share, since = event.round_robin_share, "round-robin"
    return "" if share is None else f"({100 * share:+.0f} % of {since} to optimum)"


def _troubles(event: Evaluated) -> list[str]:
    """What is wrong with the rule."""
    return trouble_words(event.no_better_than_blind, event.ais_collapsed)


def summary(report: dict[str, Any], valuation: Valuation, returns: int, folder: Path) -> str:
    """The end of a run in words; ``returns``: how many plain Monte-Carlo returns were averaged."""
    found = valuation.monte_carlo
    plain = "not valued by plain Monte Carlo"
    if found is not None:
        plain = f"{found.value:.4f} +- {found.stderr:.4f}   greedy, plain Monte Carlo of {returns} returns"
    exact = valuation.exact
    compared = valuation.compared
    if exact is None:
        unknown = "unknown: there is no exact planner for this task, or it was not asked"
        lines = [f"learned rule   {plain}", f"optimum V*     {unknown}"]
        if compared is not None:
            own = compared.value
            best = f"learned rule   {own.value:.4f} +- {own.stderr:.4f}   greedy, plain Monte Carlo"
            lines = [best, f"               {plain}", lines[1]]
    else:
        lines = [
            f"learned rule   {exact.value:.4f} +- {exact.stderr:.4f}   greedy, {exact.method}",
            f"               {plain}",
            optimum_text(exact),
        ]
        if exact.best_constant is not None and compared is None:
            said = _against_constant(exact, exact.best_constant)
            lines.append(f"best constant  {exact.best_constant:.4f}            {said}")
        if exact.round_robin is not None:
            share = "optimal itself: there is no way from it to the optimum"
            if exact.round_robin_share is not None:
                share = f"{100 * exact.round_robin_share:.0f} % of the way from blind round-robin to the optimum"
            lines.append(f"round-robin    {exact.round_robin:.4f}            {share}")
    if compared is not None:
        lines += compared.lines()
    lines += [
        f"speed          {rate_text(report['lockstep_per_s'])} lock-steps/s, {report['env_steps_per_s']:.0f} env steps/s, "
        f"{report['wall_s']:.1f} s",
    ]
    one_replica = report["replicas"] == 1 < report["num_agents"]
    lines += [f"learner        {report['learner_digest']}"] if one_replica else _digest_lines(report["agent_digests"])
    if one_replica:
        said = "one replica computed for all agents, so that nothing was compared (--replicas all, or dadc run)"
    elif report["learning"] == "independent":
        said = "the same common log for all agents; their learners are independent and differ"
    else:
        said = f"learner digests {'equal' if len(set(report['agent_digests'].values())) == 1 else 'DIFFER'}"
    lines.append(f"{said}; run folder {folder}")
    return "\n".join(lines)


def optimum_text(exact: Exact, label: str = "optimum V*     ", between: str = "            ") -> str:
    """V* and the gap to it, both as intervals where the optimum is not known to the digits that are shown."""
    if 2.0 * exact.residual < 5e-5 * max(1.0, abs(exact.optimum)):
        return f"{label}{exact.optimum:.4f}{between}{gap_text(exact.gap)}"
    low, high = exact.optimum - exact.residual, exact.optimum + exact.residual
    gaps = exact.gaps
    said = "no relative gap, V* may be 0" if gaps is None else f"gap {100 * gaps[0]:.2f} to {100 * gaps[1]:.2f} %"
    return f"{label}{low:.4f} to {high:.4f}{between[-2:]}{said}"


def _against_constant(exact: Exact, constant: float) -> str:
    """Whether what was learned is more than playing one prescription for ever."""
    if exact.value <= constant + 2.0 * exact.stderr + 1e-6 * max(1.0, abs(constant)):
        return "the learned rule is no better than this one prescription, played blindly, as far as can be told"
    return "one prescription, played blindly"


def gap_text(gap: float | None) -> str:
    """(V* - J) / |V*| in words."""
    return "no relative gap, V* is 0" if gap is None else f"gap {100 * gap:.2f} %"


def _digest_lines(digests: Mapping[str, str]) -> list[str]:
    """One line per agent; one line for all of a large team that agrees."""
    if len(digests) > _MOST_LISTED and len(set(digests.values())) == 1:
        return [f"agents 1 to {len(digests)}  {next(iter(digests.values()))}"]
    return [f"agent {agent}        {digest}" for agent, digest in digests.items()]
