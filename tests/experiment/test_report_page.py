"""The page of a report: everything that is kept of a run is on it, and nothing of it is markup or an address."""

from __future__ import annotations

import html.parser
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from dadc_net.cli.main import dadc
from dadc_net.config import resolve
from dadc_net.exact.streams import seed_bytes
from dadc_net.experiment.learned_table import learned_table
from dadc_net.experiment.page.elements import Level, figure, plot, round_steps, table, thinned, tracks
from dadc_net.experiment.simulation import Simulation
from dadc_net.runtime.events import Joined, Left, ServerFinished
from dadc_net.runtime.history import HISTORY_NAME, HistoryFile, read_history
from tests.kept_state import SMALL, make_state


class Texts(html.parser.HTMLParser):
    """What a reader sees, tags, and what a browser would fetch."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.tags, self.fetched = "", set[str](), list[str]()
        self.feed(page)
        self.text = re.sub(r"\s+", " ", self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.fetched += [str(value) for name, value in attrs if name in {"src", "href", "srcset"} or "url(" in str(value)]

    def handle_data(self, data: str) -> None:
        self.text += data + " "


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_state(tmp_path_factory.mktemp("hosts") / "dadc-state")


def report(*arguments: str | Path) -> str:
    done = CliRunner().invoke(dadc, ["report", *map(str, arguments)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def test_a_page_tells_a_team_on_separate_hosts_whole(made: Path, tmp_path: Path) -> None:
    assert "1 run" in report(made, "-o", tmp_path / "r.html", "--title", "Two & <three>")
    raw = (tmp_path / "r.html").read_text(encoding="utf-8")
    page = Texts(raw)
    for words in (
        *("Two & <three>", "mabc: 2 agents, 2 copies", "finished, update 2 of 2"),
        *("optimum V*", "learned rule", "best constant", "random", "Plain Monte Carlo"),
        *("What the team earned while it learned", "40 environment steps"),
        *("decision", "common so far", "nothing yet"),
        *("All agree.", "server, agent 1, agent 2 agree on 21 records and 2 updates.", "ab" * 32),
        *("agent 1 joined from host-1; waiting for agent 2", "agent 2 has gone at record 7", "the run is over"),
        *("agent 1 host-1", "on disk", "config.toml", "batch_steps = 20"),
    ):
        assert words in page.text, words
    assert "<script>alert(1)</script>" in page.text, "a host's name is text"
    assert "script" not in page.tags
    assert page.fetched == []
    assert "http://" not in raw.replace("http-equiv", "")
    assert "https://" not in raw


def test_nothing_is_valued_or_compared_that_was_not_asked_for(made: Path, tmp_path: Path) -> None:
    report(made, "-o", tmp_path / "r.html", "--no-value", "--no-check")
    page = Texts((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert "It was not valued." in page.text
    assert "The journals were not compared." in page.text
    assert "All agree." not in page.text


def test_independent_learners_are_not_said_to_agree(tmp_path: Path) -> None:
    report(make_state(tmp_path / "dadc-state", learning="independent"), "-o", tmp_path / "r.html", "--no-value")
    page = Texts((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert "agree on 21 records. Their learners are independent: they differ, and were not compared." in page.text
    assert "2 updates." not in page.text


def test_several_runs_stand_in_one_table_and_parties_together_are_one(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "other")
    quick = ("--no-value", "--no-check", "-o", tmp_path / "r.html")
    report(made, tmp_path / "other", *quick)
    page = Texts((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert "The runs" in page.text
    assert page.text.count("finished, update 2 of 2") == 2
    report(made / "server", made / "agent-1", *quick, "--together")
    page = Texts((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert page.text.count("finished, update 2 of 2") == 1


def test_the_table_of_a_rule_adds_up_and_says_what_it_does() -> None:
    config = resolve("mabc", (), SMALL)
    ended = Simulation(config, seed_bytes(7), seed_bytes(1)).run()
    rows = learned_table(config, ended.snapshot)
    assert rows is not None
    assert (rows[0].decision, rows[0].common, rows[0].share) == (1, "nothing yet", 1.0)
    for decision in range(1, 6):
        shares = [row.share for row in rows if row.decision == decision]
        assert 0.3 < sum(shares) <= 1.0 + 1e-9
        assert shares == sorted(shares, reverse=True)
    assert {row.prescription for row in rows} <= set(config.family.entries)


def test_scales_have_round_marks_and_long_curves_few_points() -> None:
    assert round_steps(0.588, 0.884) == pytest.approx([0.6, 0.7, 0.8])
    assert round_steps(-3.0, 11.0) == [0.0, 5.0, 10.0]
    points = [(float(x), float(x % 2)) for x in range(10_001)]
    assert len(thinned(points)) <= 400
    assert thinned(points)[-1][0] == 10_000
    drawn = plot("a curve", [(10.0, 1.0), (20.0, 1.0)], [Level("optimum", 1.0, "optimum")])
    assert drawn.count("<polyline") == 1
    assert "left:50.0%" in tracks([("low", 0.0, ""), ("middle", 1.0, ""), ("high", 2.0, "")])
    assert "nan" not in drawn


def test_figures_of_every_size_and_long_tables_can_be_read() -> None:
    sizes = (0.0, 0.8493, 1e-7, 123456.7, -9e9, 3e13)
    assert [figure(value) for value in sizes] == ["0.0000", "0.8493", "1e-07", "123,457", "-9,000,000,000", "3e+13"]
    assert "-5e+09" in plot("value", [(0.0, -9e9), (1.0, 1e8)])
    assert 'class="dot"' in plot("reward", [(20.0, 0.0)]), "a line of one point would not be seen"
    assert 'class="dot"' not in plot("reward", [(0.0, 0.0), (20.0, 0.0)])
    assert "<summary>100 agents</summary>" in table(["agent"], [["1"]] * 100, "s", "agents")
    assert "<summary>" not in table(["agent"], [["1"]] * 10, "s", "agents")


def test_the_history_is_read_back_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history = HistoryFile(tmp_path)
    ended = ServerFinished(learner_digests={1: "ab"}, steps=1, seconds=1.0)
    told = [Joined(agent=1, hostname="a", missing=[]), Left(agent=1, step=3), ended]
    for event in told:
        history.on(event)
    history.close()
    with open(tmp_path / HISTORY_NAME, "ab") as file:
        file.write(b'{"time": 1, "event": "OfAnotherVersion"}\n{"time": "x"}\n[]\n' + b"[" * 100_000)
        for never in (b"NaN", b"-1", b"1e300", b"1" + bytes([48]) * 400):
            file.write(b'\n{"time": %s, "event": "Left", "agent": 1, "step": 3}' % never)
        file.write(b'\n{"tim')
    assert [type(event) for _, event in read_history(tmp_path)] == [Joined, Left, ServerFinished]
    after_the_cut = HistoryFile(tmp_path)
    after_the_cut.on(told[1])
    after_the_cut.close()
    assert [type(event) for _, event in read_history(tmp_path)] == [Joined, Left, ServerFinished, Left]
    monkeypatch.setattr("dadc_net.runtime.history._MOST_BYTES", 10)
    again = HistoryFile(tmp_path)
    size = (tmp_path / HISTORY_NAME).stat().st_size
    again.on(told[0])
    again.close()
    assert (tmp_path / HISTORY_NAME).stat().st_size == size
