"""A report in a real browser: light and dark, on a screen and on a phone, with no error and nothing that does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from dadc_net.cli.event_text import history_text
from dadc_net.cli.main import dadc
from dadc_net.experiment.page.page import page
from tests.extras.browser import Browser, browser
from tests.extras.hard_stories import DIVERGED_ONE, INDEPENDENT, MANY
from tests.kept_state import make_state

pytestmark = [pytest.mark.extras, pytest.mark.browser, pytest.mark.timeout(300)]

_TOO_WIDE = """[...document.querySelectorAll('main *')].filter(one => !one.closest('.wide, pre, svg') &&
    one.getBoundingClientRect().right > document.documentElement.clientWidth + 1).length"""
_SMALLEST = """Math.min(...[...document.querySelectorAll('main *')].filter(one => one.innerText)
    .map(one => parseFloat(getComputedStyle(one).fontSize)))"""


def assert_it_fits(seen: Browser, width: int) -> None:
    """Nothing is beyond the screen, and all can be read."""
    assert seen.value("document.documentElement.scrollWidth") <= width
    assert seen.value(_TOO_WIDE) == 0
    assert seen.value(_SMALLEST) >= 12


def test_it_can_be_read_everywhere(tmp_path: Path) -> None:
    state = make_state(tmp_path / "dadc-state")
    done = CliRunner().invoke(dadc, ["report", str(state), "-o", str(tmp_path / "r.html")])
    assert done.exit_code == 0, done.output
    with browser(tmp_path / "profile") as seen:
        seen.look_as(1100, dark=False)
        seen.open((tmp_path / "r.html").as_uri())
        assert seen.value("document.querySelectorAll('section').length") >= 6
        grounds = {}
        for width in (1100, 360):
            for dark in (False, True):
                seen.look_as(width, dark)
                grounds[dark] = seen.value("getComputedStyle(document.body).backgroundColor")
                assert_it_fits(seen, width)
                seen.screenshot(tmp_path / f"{width}-{'dark' if dark else 'light'}.png")
        assert grounds[False] != grounds[True]
        assert seen.value("document.querySelector('polyline').getBoundingClientRect().width") > 100
        assert seen.errors == []
        # The control: an error on the page, and a picture that it may not fetch, are noticed.
        (tmp_path / "bad.html").write_text("<script>nothing()</script><img src='none.png'>", encoding="utf-8")
        seen.open((tmp_path / "bad.html").as_uri())
        assert len(seen.errors) >= 2
    assert all((tmp_path / f"{width}-dark.png").read_bytes().startswith(b"\x89PNG") for width in (1100, 360))


def test_many_agents_long_names_wide_figures_and_a_divergence_fit_too(tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    path.write_text(page("hard", [MANY, DIVERGED_ONE, INDEPENDENT], "0", history_text), encoding="utf-8")
    with browser(tmp_path / "profile") as seen:
        for width in (1100, 360):
            seen.look_as(width, dark=False)
            seen.open(path.as_uri())
            assert_it_fits(seen, width)
            seen.screenshot(tmp_path / f"{width}.png")
        assert seen.value("document.documentElement.scrollHeight") < 30_000, "a hundred agents are folded away"
        seen.value("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert_it_fits(seen, 360)
        assert seen.value("document.querySelectorAll('polyline.dot').length") == 1
        assert seen.errors == []
        # The control: a word that is as wide as ten screens.
        path.write_text(f"<main><b>{'wide' * 1000}</b></main>", encoding="utf-8")
        seen.open(path.as_uri())
        assert seen.value("document.documentElement.scrollWidth") > 360
