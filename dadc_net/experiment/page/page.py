"""A report of runs as one page that needs nothing else: no script, no font, no picture, no address."""

from __future__ import annotations

from collections.abc import Sequence

from dadc_net.experiment.page.elements import figure, section, table, text
from dadc_net.experiment.page.run_sections import Describe, run_sections
from dadc_net.experiment.page.style import STYLE
from dadc_net.experiment.run_story import RunStory

_RULES = "default-src 'none'; style-src 'unsafe-inline'"


def page(title: str, stories: Sequence[RunStory], version: str, describe: Describe) -> str:
    """The page; ``describe``: an event in words, empty for one that is not told."""
    overview = "" if len(stories) == 1 else section("The runs", _overview(stories))
    body = overview + "".join(run_sections(story, describe) for story in stories)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_RULES}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{STYLE}</style></head>"
        f"<body><main><h1>{text(title)}</h1><p class='soft'>made by dadc-net {text(version)}</p>{body}</main></body>"
        "</html>\n"
    )


def _overview(stories: Sequence[RunStory]) -> str:
    rows = []
    for story in stories:
        one = story.summary
        value, optimum, gap = (story.result.get(name, one.values.get(name)) for name in ("value", "optimum", "gap"))
        shown = ["-" if known is None else figure(known) for known in (value, optimum)]
        rows.append([one.path, one.task, one.state, *shown, "-" if gap is None else f"{figure(100 * gap, 2)} %"])
    return table(["run", "task", "state", "value", "optimum", "gap"], rows, "llsnnn")
