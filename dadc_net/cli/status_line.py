"""One line on standard error that is redrawn on a terminal, and lines of their own between."""

from __future__ import annotations

import shutil
import sys
import time

import click

_REDRAW_SECONDS = 0.1


class StatusLine:
    """Nothing at all when ``quiet``; where there is no terminal, only the lines of their own."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.is_terminal = sys.stderr.isatty()
        self._last_draw = 0.0
        self._is_drawn = False

    @property
    def width(self) -> int:
        """Characters that fit."""
        return shutil.get_terminal_size().columns - 1

    def due(self, at_once: bool = False) -> bool:
        """Whether the line should be drawn now: not too often, unless ``at_once``."""
        now = time.monotonic()
        if self.quiet or not self.is_terminal or (now - self._last_draw < _REDRAW_SECONDS and not at_once):
            return False
        self._last_draw = now
        return True

    def draw(self, text: str) -> None:
        """Draw the line anew."""
        click.echo("\r" + text[: self.width].ljust(self.width), nl=False, err=True)
        self._is_drawn = True

    def close(self) -> None:
        """End the redrawn line."""
        if self._is_drawn:
            click.echo(err=True)
            self._is_drawn = False

    def note(self, text: str) -> None:
        """A line of its own."""
        if not self.quiet:
            self.close()
            click.echo(text, err=True)


def bar(share: float, width: int) -> str:
    """A bar of ``width`` characters, ``share`` of which are filled."""
    filled = int(width * share)
    return f"[{'#' * filled}{'.' * (width - filled)}]"
