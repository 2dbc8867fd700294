"""``dadc check``: do the journals of all parties agree, and is what they agree on right?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dadc_net.cli import shell

if TYPE_CHECKING:
    from dadc_net.audit.consistency import CheckResult


@click.command("check")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--recompute", is_flag=True, help="Compute every record again with the shared seed, and say who is wrong.")
@click.option("--seed", type=int, metavar="N", help="With --recompute: the run's shared seed.  [default: 0]")
@click.option(
    "--seed-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="With --recompute: the shared seed as a file's bytes.",
)
@shell.json_option
def check_command(runs: tuple[Path, ...], recompute: bool, seed: int | None, seed_file: Path | None, as_json: bool) -> int:
    """Do the journals of all parties agree? Names the first divergence; exit 0 or 10, or 15 for a damaged journal."""
    from dadc_net.audit.consistency import check
    from dadc_net.errors import DivergenceError, UsageError

    if not recompute and (seed is not None or seed_file is not None):
        raise UsageError(
            "a shared seed was given without --recompute. A plain check compares what was written down and needs no seed. "
            "Add --recompute, or leave the seed out."
        )
    result = check(runs, shell.shared_seed(seed, seed_file) if recompute else None)
    if as_json:
        shell.print_json(result.to_plain())
    else:
        click.echo(_text(result))
    return 0 if result.consistent else DivergenceError.exit_code


def _text(result: CheckResult) -> str:
    if result.first_divergence is not None:
        return result.first_divergence.text()
    recomputed = ", and so does a fresh learner that computed them again" if result.recomputed else ""
    learned = f" and {result.updates_compared} updates{recomputed}; learner digest {result.learner_digest or 'none yet'}"
    if not result.learners_compared:
        learned = "; their learners are independent and were not compared"
    lines = [f"consistent: {', '.join(result.parties)} agree on {result.steps_compared} records{learned}"]
    if not result.complete:
        ends = ", ".join(f"{party} at {last}" for party, last in result.last_records.items())
        lines.append(f"the run is not complete: journals end before its last record, {ends}")
    return "\n".join(lines)
