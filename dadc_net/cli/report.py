"""``dadc report``: runs as one page to look at and to hand on."""

from __future__ import annotations

from pathlib import Path

import click

import dadc_net
from dadc_net.cli import shell
from dadc_net.cli.event_text import history_text
from dadc_net.cli.figures_text import size_text


@click.command("report")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    default=Path("report.html"),
    show_default=True,
    metavar="FILE",
    help="The page.",
)
@click.option("--title", default="", help="Its heading.  [default: the runs' names]")
@click.option("--task", metavar="MODULE:FACTORY", help="The runs' task, where that is code of yours.")
@click.option("--structure", metavar="MODULE:CLASS", help="Their information structure, where that is code of yours.")
@click.option("--together", is_flag=True, help="RUNS are state folders of the parties of one run, from several hosts.")
@click.option("--no-value", is_flag=True, help="Do not value a rule that was not valued.")
@click.option("--no-check", is_flag=True, help="Do not compare journals, which takes long for a long run.")
@shell.json_option
def report_command(
    runs: tuple[Path, ...],
    out: Path,
    title: str,
    task: str | None,
    structure: str | None,
    together: bool,
    no_value: bool,
    no_check: bool,
    as_json: bool,
) -> None:
    """Make one page of RUNS: what was learned beside the optimum, curves, the rule, who came and went, agreement, size.

    The page needs nothing else and fetches nothing. A run is the folder of one, or a dadc-state folder.
    """
    from dadc_net.errors import UsageError
    from dadc_net.experiment.page.page import page
    from dadc_net.experiment.run_story import tell
    from dadc_net.storage.kept_run import find_run

    found = [find_run(runs)] if together else [find_run([run]) for run in runs]
    own = task, structure
    stories = [tell(run, own, not no_value, not no_check, lambda said: click.echo(said, err=True)) for run in found]
    heading = title or ", ".join(run.path.name or str(run.path) for run in found)
    content = page(heading, stories, dadc_net.__version__, history_text).encode("utf-8")
    try:
        out.write_bytes(content)
    except OSError as error:
        raise UsageError(
            f"the page {out} cannot be written: {error.strerror}. Nothing was made. Give another -o."
        ) from error
    if as_json:
        shell.print_json({"page": str(out), "runs": [story.summary.to_plain() for story in stories]})
        return
    click.echo(f"{out}: {len(stories)} run{'' if len(stories) == 1 else 's'}, {size_text(len(content))}")
