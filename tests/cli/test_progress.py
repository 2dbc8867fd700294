"""What a summary says of many agents."""

from __future__ import annotations

from dadc_net.cli.progress import _digest_lines, _rate


def test_a_large_team_that_agrees_takes_one_line_and_one_that_does_not_is_listed() -> None:
    equal = {str(agent): "ab" for agent in range(1, 101)}
    assert _digest_lines(equal) == ["agents 1 to 100  ab"]
    assert len(_digest_lines(equal | {"7": "cd"})) == 100
    assert len(_digest_lines({"1": "ab", "2": "ab"})) == 2


def test_slow_rates_are_not_shown_as_zero() -> None:
    assert (_rate(0.394), _rate(321.4)) == ("0.39", "321")
