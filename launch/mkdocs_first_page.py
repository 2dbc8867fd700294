"""A hook of mkdocs: the root of the site leads to the first page, which lies in a folder of its own."""

from pathlib import Path
from typing import Any

_TEXT = (
    '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url=docs/"><a href="docs/">dadc-net</a>\n'
)


def on_post_build(config: Any) -> None:
    """Write the page."""
    Path(config["site_dir"], "index.html").write_text(_TEXT, encoding="utf-8")
