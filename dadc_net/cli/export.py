"""``dadc export``: what is kept of a run, for other programs: what it learned as one small file, or event files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from dadc_net.cli import shell


@click.command("export")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    *("-o", "--output"),
    type=click.Path(path_type=Path, dir_okay=False),
    help="File for the learned rule.  [default: the name of the first of RUNS, with .rule]",
)
@click.option(
    "--tensorboard",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Instead: rewards, values and losses over environment steps as event files. Needs the extra tensorboard.",
)
@shell.json_option
def export_command(runs: tuple[Path, ...], output: Path | None, tensorboard: Path | None, as_json: bool) -> None:
    """Write the rule that a run has learned, as a file for --from and dadc_net.load_rule, and print its digest.

    RUNS is the folder of one run, or the state folders of its parties; of a shared learner one agent's is enough.
    """
    from dadc_net.errors import UsageError
    from dadc_net.experiment.tensorboard import export_tensorboard
    from dadc_net.storage.kept_run import find_run

    if tensorboard is None:
        told = _export_rule(runs, output)
        if as_json:
            shell.print_json(told)
            return
        click.echo(f"{told['file']}: the rule of update {told['update']}, {told['bytes']} bytes", err=True)
        click.echo(told["digest"])
        return
    if output is not None:
        raise UsageError("-o and --tensorboard were both given. One is a rule's file, one a folder. Give one of them.")
    points = export_tensorboard(find_run(runs), tensorboard)
    if as_json:
        shell.print_json({"folder": str(tensorboard), "points": points})
        return
    click.echo(f"{tensorboard}: {points} points; look at them with tensorboard --logdir {tensorboard}")


def _export_rule(runs: Sequence[Path], output: Path | None) -> dict[str, Any]:
    from dadc_net.errors import TemporaryError, UsageError
    from dadc_net.runtime.learned_rule import find_rule
    from dadc_net.storage.rule_file import save_rule

    rule = find_rule(*runs)
    path = output or Path(f"{runs[0].resolve().name.removesuffix('.rule')}.rule")
    if there := _in_the_way(path, rule.digest):
        raise UsageError(
            f"{path} is {there}, and not the rule {rule.digest.hex()[:16]}. Nothing was overwritten. Give another file with "
            "-o, or remove this one first."
        )
    try:
        save_rule(path, rule)
    except OSError as error:
        raise TemporaryError(
            f"{path} cannot be written: {error.strerror}. Nothing was exported. Give a file in a folder that can be written."
        ) from error
    return {"file": str(path), "digest": rule.digest.hex(), "update": rule.update, "bytes": path.stat().st_size}


def _in_the_way(path: Path, digest: bytes) -> str:
    """What ``path`` is, if it is there and does not hold the rule of that digest."""
    from dadc_net.errors import CorruptStateError, UsageError
    from dadc_net.storage.rule_file import load_rule_file

    if not path.exists():
        return "a link that leads nowhere" if path.is_symlink() else ""
    if not path.is_file():
        return "a folder" if path.is_dir() else "no regular file"
    try:
        found = load_rule_file(path).digest
    except CorruptStateError:
        return "no file of dadc export, or a damaged one"
    except UsageError:
        return "a file of another kind"
    except OSError as error:
        return f"a file that cannot be read ({error.strerror})"
    return "" if found == digest else f"the rule {found.hex()[:16]}"
