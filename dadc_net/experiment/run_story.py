"""All that a report says of one run, gathered as plain data from what is kept of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dadc_net.audit.consistency import check
from dadc_net.errors import DadcError, UsageError
from dadc_net.experiment.evaluation import Evaluator
from dadc_net.experiment.kept_runs import RunSummary, configuration, facts_of, summarise
from dadc_net.experiment.learned_table import TableRow, learned_table
from dadc_net.experiment.result_file import read_report
from dadc_net.runtime.events import Event
from dadc_net.runtime.history import read_history
from dadc_net.runtime.learned import load_learner
from dadc_net.runtime.metrics import read_metrics
from dadc_net.storage.journal_file import JOURNAL_NAME
from dadc_net.storage.kept_run import KeptRun, size_of

Curve = list[tuple[float, float]]
"""(environment steps, figure) in order"""


@dataclass(frozen=True, kw_only=True)
class RunStory:
    """One run."""

    summary: RunSummary
    result: dict[str, Any]
    """Of ``result.json``, or what a valuation told; empty where there is neither."""
    values: Curve
    """Of the greedy rule while it learned."""
    rewards: Curve
    """Mean per step of each batch."""
    history: list[tuple[float, Event]]
    """Seconds since 1970, and what happened."""
    agreement: str
    agreed: bool | None
    """None: it could not be told."""
    rule: list[TableRow]
    rule_note: str
    """Why there is no table, or what it is of."""
    sizes: dict[str, int]
    """Party -> bytes"""
    configuration: str
    """TOML"""
    troubles: list[str]


def tell(
    run: KeptRun, own: tuple[str | None, str | None], valued: bool, checked: bool, say: Callable[[str], None]
) -> RunStory:
    """The story of ``run``.

    Args:
        own: names of task and information structure, where they are the user's own code; without them nothing is
            imported, and the rule is not played.
        valued: value the rule, if that was not done.
        checked: compare the journals.
        say: told before what takes long.
    """
    summary = summarise(run)
    result = read_report(run.path) or {}
    troubles: list[str] = list(result.get("valuation_troubles") or [])
    rule: list[TableRow] | None = None
    note = "The rule was not played."
    try:
        config = configuration(run, own[0], None, own[1])
        snapshot, _ = load_learner(run, config)
        if valued and not result.get("valued"):
            say(f"valuing the rule of {run.path}")
            found = Evaluator(config).compared(snapshot, {})
            result = {**result, **found.to_plain()}
            troubles += found.troubles
        rule = learned_table(config, snapshot)
        note = "Its prescriptions are no menu, or its learners are independent: there is no table." if rule is None else ""
    except DadcError as error:
        troubles.append(str(error))
    if checked:
        say(f"comparing the journals of {run.path}")
    agreed, agreement = _agreement(run, checked)
    return RunStory(
        summary=summary,
        result=result,
        values=_curve(run, "value", "value"),
        rewards=_curve(run, "reward", "reward_per_step"),
        history=_history(run),
        agreement=agreement,
        agreed=agreed,
        rule=rule or [],
        rule_note=note,
        sizes={name: size_of(folder) for name, folder in run.parties.items()},
        configuration="" if run.config is None else run.config.read_text(encoding="utf-8"),
        troubles=troubles,
    )


def _agreement(run: KeptRun, checked: bool) -> tuple[bool | None, str]:
    """Whether all agents agreed, and how that is known."""
    journals = [folder for folder in run.parties.values() if (folder / JOURNAL_NAME).is_file()]
    if not journals:
        told = {str(facts_of(folder).get("checked", "")) for folder in run.parties.values()} - {""}
        if told:
            return next(iter(told)).startswith("consistent"), f"Compared before the journals were cut: {next(iter(told))}."
        return None, "There are no journals: the run was simulated in one process, or they lie elsewhere."
    if not checked:
        return None, "The journals were not compared."
    if sum(facts_of(folder).get("agent") != 0 for folder in journals) < 2:
        return None, "Fewer than two agents' journals are here, and two are needed to compare them."
    try:
        found = check(journals)
    except UsageError as error:
        return None, str(error)
    except DadcError as error:
        return False, str(error)
    if found.first_divergence is not None:
        return False, found.first_divergence.text()
    names = ", ".join(found.parties) if len(found.parties) <= 6 else f"{len(found.parties)} parties"
    learned = ". Their learners are independent: they differ, and were not compared"
    if found.learners_compared:
        learned = f" and {found.updates_compared} updates"
    end = "" if found.complete else " The run is not complete: journals end before its last record."
    return found.consistent, f"{names} agree on {found.steps_compared} records{learned}.{end}"


def _curve(run: KeptRun, kind: str, name: str) -> Curve:
    found: dict[int, float] = {}
    for folder in [run.path, *([] if run.server is None else [run.server])]:
        for line in read_metrics(folder):
            if line.get("kind") == kind and isinstance(line.get(name), int | float):
                found.setdefault(int(line["env_steps"]), float(line[name]))
    return [(float(steps), found[steps]) for steps in sorted(found)]


def _history(run: KeptRun) -> list[tuple[float, Event]]:
    """From the run's folder, which hears all; or from those of its parties."""
    own = list(read_history(run.path))
    if own:
        return own
    return sorted((line for folder in run.parties.values() for line in read_history(folder)), key=lambda line: line[0])
