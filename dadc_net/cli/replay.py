"""``dadc replay``: the learner's state at any step of a recorded run, and where two agents' states differ."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dadc_net.cli import shell

if TYPE_CHECKING:
    from dadc_net.audit.replay import Replayed

_COPIES_SHOWN = 4


@click.command("replay")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--until", type=click.IntRange(0), metavar="STEP", help="Last record to replay.  [default: the last there]")
@click.option("--agent", type=click.IntRange(1), metavar="N", help="Whose common log.  [default: the longest]")
@click.option("--seed", type=int, metavar="N", help="Shared seed of the run.  [default: 0]")
@click.option("--seed-file", type=click.Path(path_type=Path), metavar="FILE", help="Shared seed as a file's bytes.")
@click.option("--diff", "pair", type=click.IntRange(1), nargs=2, metavar="A B", help="First differing values of two agents.")
@shell.json_option
def replay_command(
    runs: tuple[Path, ...],
    until: int | None,
    agent: int | None,
    seed: int | None,
    seed_file: Path | None,
    pair: tuple[int, int] | None,
    as_json: bool,
) -> int:
    """Digests, AIS and prescriptions after record STEP, computed again by a fresh learner; exit 10 if an agent's differ."""
    from dadc_net.audit.replay import compare_states, replay
    from dadc_net.errors import DivergenceError

    if pair is not None:
        compared = compare_states(runs, shell.shared_seed(seed, seed_file), pair, until)
        if as_json:
            shell.print_json(compared.to_plain())
        else:
            click.echo(compared.text())
        return DivergenceError.exit_code if compared.differences else 0
    found = replay(runs, shell.shared_seed(seed, seed_file), until, agent)
    if as_json:
        shell.print_json(found.to_plain())
    else:
        click.echo(_text(found))
    return 0 if found.agreed else DivergenceError.exit_code


def _text(found: Replayed) -> str:
    state = found.state
    lines = [
        f"record {state.step} of 0..{found.last_record}, after update {state.update}, from the log of agent {found.agent}",
        f"{'chain head':16} {state.head}",
        f"{'parameters':16} {state.parameters}",
        f"{'AIS x_t':16} {state.ais_digest}",
        f"{'prescription':16} {state.prescription_digest}",
        f"{'step digest':16} {state.sent}",
        f"{'learner':16} {state.learner_digest or 'no update yet'}",
        f"{'whole state':16} {state.state_digest}",
    ]
    for copy, values in enumerate(state.ais[:_COPIES_SHOWN]):
        chosen: Any = "none" if state.prescriptions is None else state.prescriptions[copy]
        lines.append(f"{f'copy {copy}':16} prescription {chosen}, x_t = {' '.join(f'{value:+.4f}' for value in values)}")
    if len(state.ais) > _COPIES_SHOWN:
        lines.append(f"{'':16} and {len(state.ais) - _COPIES_SHOWN} copies more; --json has all")
    for agent, components in found.agents.items():
        lines.append(f"{f'agent {agent}':16} {'differs in ' + ', '.join(components) if components else 'equal'}")
    return "\n".join(lines)
