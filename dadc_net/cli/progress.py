"""Live progress on standard error: one line that is redrawn on a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from dadc_net.experiment.comparison import Comparison
    from dadc_net.experiment.evaluation import Valuation

_REDRAW_SECONDS = 0.1
_PLAIN_LINES = 10
_MOST_LISTED = 10


class Progress:
    """Shows how far a run is, its speed, its reward, its value and that digests are equal."""

    def __init__(self, updates: int, quiet: bool, agreed: str = "digests equal") -> None:
        """``agreed``: what has been compared and found equal at every update that is shown."""
        self._agreed = agreed
        self._updates = updates
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._value: tuple[float, float | None, str, Sequence[str]] | None = None
        self._last_draw = 0.0
        self._next_plain = 1
        self._drawn = False

    def value(self, value: float, share: float | None, since: str = "round-robin", troubles: Sequence[str] = ()) -> None:
        """A new estimate of the rule's value, the share of the way from ``since`` to the optimum if it is known, and what is
        wrong with the rule."""
        self._value = (value, share, since, troubles)

    def update(self, update: int, lock_steps: int, seconds: float, reward: float) -> None:
        """Update ``update`` is done, ``lock_steps`` of this process in ``seconds``; all digests were equal."""
        if self._quiet:
            return
        if not self._terminal:
            if update * _PLAIN_LINES >= self._next_plain * self._updates:
                self._next_plain = update * _PLAIN_LINES // self._updates + 1
                click.echo(self._text(update, lock_steps, seconds, reward), err=True)
            return
        now = time.monotonic()
        if now - self._last_draw >= _REDRAW_SECONDS or update == self._updates:
            self._last_draw = now
            self._draw(update, lock_steps, seconds, reward)

    def _text(self, update: int, lock_steps: int, seconds: float, reward: float) -> str:
        rate = lock_steps / max(seconds, 1e-9)
        parts = [f"update {update}/{self._updates}", f"{_rate(rate)} lock-steps/s", f"reward/step {reward:+.4f}"]
        if self._value is not None:
            value, share, since, troubles = self._value
            shown = "" if share is None else f" ({100 * share:+.0f} % of {since} to optimum)"
            parts += [f"value {value:.4f}{shown}", *troubles]
        parts.append(self._agreed)
        return "  ".join(parts)

    def _draw(self, update: int, lock_steps: int, seconds: float, reward: float) -> None:
        width = shutil.get_terminal_size().columns - 1
        text = self._text(update, lock_steps, seconds, reward)
        room = max(0, min(30, width - len(text) - 3))
        filled = room * update // self._updates
        bar = f"[{'#' * filled}{'.' * (room - filled)}] " if room >= 5 else ""
        click.echo("\r" + (bar + text)[:width].ljust(width), nl=False, err=True)
        self._drawn = True

    def close(self) -> None:
        """End the redrawn line."""
        if self._drawn:
            click.echo(err=True)
            self._drawn = False

    def note(self, text: str) -> None:
        """A line of its own."""
        if not self._quiet:
            self.close()
            click.echo(text, err=True)


def summary(report: dict[str, Any], valuation: Valuation, compared: Comparison, returns: int, folder: Path) -> str:
    """The end of a run in words; ``returns``: how many plain Monte-Carlo returns were averaged."""
    plain = f"{valuation.value_monte_carlo:.4f} +- {valuation.value_monte_carlo_stderr:.4f}   "
    plain += f"greedy, plain Monte Carlo of {returns} returns"
    exact = valuation.exact
    if exact is None:
        found = compared.value
        lines = [
            f"learned rule   {found.value:.4f} +- {found.stderr:.4f}   greedy, plain Monte Carlo",
            f"               {plain}",
            "optimum V*     unknown: there is no exact planner for this task",
        ]
    else:
        lines = [
            f"learned rule   {exact.value:.4f} +- {exact.stderr:.4f}   greedy, {exact.method}",
            f"               {plain}",
            f"optimum V*     {exact.optimum:.4f}            gap {100 * exact.gap:.2f} %",
        ]
        if exact.round_robin is not None and exact.round_robin_share is not None:
            share = f"{100 * exact.round_robin_share:.0f} % of the way from blind round-robin to the optimum"
            lines.append(f"round-robin    {exact.round_robin:.4f}            {share}")
    lines += compared.lines()
    lines += [
        f"speed          {_rate(report['lockstep_per_s'])} lock-steps/s, {report['env_steps_per_s']:.0f} env steps/s, "
        f"{report['wall_s']:.1f} s",
    ]
    lines += _digest_lines(report["agent_digests"])
    if report["learning"] == "independent":
        said = "the same common log for all agents; their learners are independent and differ"
    else:
        said = f"learner digests {'equal' if len(set(report['agent_digests'].values())) == 1 else 'DIFFER'}"
    lines.append(f"{said}; run folder {folder}")
    return "\n".join(lines)


def _rate(per_second: float) -> str:
    return f"{per_second:.0f}" if per_second >= 10 else f"{per_second:.2f}"


def _digest_lines(digests: Mapping[str, str]) -> list[str]:
    """One line per agent; one line for all of a large team that agrees."""
    if len(digests) > _MOST_LISTED and len(set(digests.values())) == 1:
        return [f"agents 1 to {len(digests)}  {next(iter(digests.values()))}"]
    return [f"agent {agent}        {digest}" for agent, digest in digests.items()]
