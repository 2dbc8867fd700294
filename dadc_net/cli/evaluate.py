"""dadc evaluate: what a learned rule is worth."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dadc_net.cli import shell
from dadc_net.cli.progress import optimum_text

if TYPE_CHECKING:
    from dadc_net.planning.certificate import Certificate


@click.command("evaluate")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--task", metavar="MODULE:FACTORY", help="The run's task, where that is code of yours.")
@click.option("--structure", metavar="MODULE:CLASS", help="The run's information structure, where that is code of yours.")
@click.option("--agent", type=int, default=1, show_default=True, metavar="N", help="Whose learner to value.")
@click.option("--trajectories", type=int, metavar="N", help="Trajectories of the low-variance estimator.")
@click.option("--returns", type=int, metavar="N", help="Plain Monte-Carlo returns; 0: none.")
@click.option("--copies", type=int, metavar="N", help="Copies of the environment at once.  [default: that of the run]")
@click.option("--certificate", is_flag=True, help="Theorem 5: epsilon, delta, kappa and the bound, next to the true gap.")
@shell.json_option
def evaluate_command(
    runs: tuple[Path, ...],
    task: str | None,
    structure: str | None,
    agent: int,
    trajectories: int | None,
    returns: int | None,
    copies: int | None,
    certificate: bool,
    as_json: bool,
) -> None:
    """Value of the greedy rule that a run has learned.

    RUNS is the folder of a run, or a dadc-state folder, or the state folders of a server and an agent, from any hosts.
    """
    from dadc_net.errors import UsageError
    from dadc_net.experiment.evaluation import Evaluator
    from dadc_net.experiment.kept_runs import configuration
    from dadc_net.runtime.learned import load_learner
    from dadc_net.storage.kept_run import find_run

    run = find_run(runs)
    asked = {"evaluation.trajectories": trajectories, "evaluation.monte_carlo_trajectories": returns}
    asked["evaluation.copies"] = copies
    config = configuration(run, task, asked, structure)
    snapshot, meta = load_learner(run, config, agent)
    evaluator = Evaluator(config)
    valuation = evaluator.valuation(snapshot)
    certified = evaluator.certificate(snapshot) if certificate else None
    exact, plain = valuation.exact, valuation.monte_carlo
    if exact is None and plain is None:
        nothing = f"{run.path}: no valuation was asked for, and nothing can be told. Give --returns or --trajectories."
        raise UsageError(" ".join(valuation.troubles) or nothing)
    for trouble in valuation.troubles:
        click.echo(f"warning: {trouble}", err=True)
    about = {"update": meta.get("update"), "learner_digest": meta.get("learner_digest")}
    result: dict[str, Any] = {**valuation.to_plain(), **about}
    if certificate:
        result["certificate"] = None if certified is None else dataclasses.asdict(certified)
    if as_json:
        shell.print_json(result)
        return
    click.echo(f"greedy rule of agent {agent} after update {result['update']}")
    if exact is not None:
        share = exact.round_robin_share
        click.echo(
            f"value {exact.value:.5f} +- {exact.stderr:.5f} ({exact.method}), "
            + optimum_text(exact, "optimum V* ", ", ")
            + ("" if share is None else f", {100 * share:.0f} % of the way from blind round-robin")
        )
    if plain is not None:
        click.echo(f"plain Monte Carlo {plain.value:.4f} +- {plain.stderr:.4f}")
    if certificate:
        click.echo(_certificate_text(certified))


def _certificate_text(found: Certificate | None) -> str:
    """Theorem 5 in words."""
    if found is None:
        return (
            "no certificate: it compares with exact beliefs, which a planner has for discounted problems without end whose "
            "prescriptions are a menu"
        )
    known = "" if found.value_bounds == 0.0 else f" at least, V*(b) being known to within {found.value_bounds:.3f}"
    return (
        f"Theorem 5 over {found.points} visited points, largest (mean): epsilon {found.epsilon:.4f} "
        f"({found.epsilon_mean:.4f}), delta {found.delta:.4f} ({found.delta_mean:.4f}), kappa {found.kappa:.4f} "
        f"({found.kappa_mean:.4f}), L_V {found.lipschitz:.3f}\n"
        f"bound kappa + (epsilon + L_V delta) / (1 - gamma) = {found.bound:.3f} ({found.bound_mean:.3f}); the largest true "
        f"|V*(b) - V(x)| met is {found.error:.4f} ({found.error_mean:.4f}){known}"
    )
