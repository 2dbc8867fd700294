"""What a report says of one run, card by card."""

from __future__ import annotations

import time
from collections.abc import Callable

from dadc_net.experiment.page.elements import Level, figure, folded, plot, section, table, text, tracks
from dadc_net.experiment.run_story import RunStory
from dadc_net.runtime.events import Event

Describe = Callable[[Event], str]
_MOST_EVENTS = 200
_NAMES = {
    "optimum": "optimum V*",
    "value": "learned rule",
    "round_robin": "blind round-robin",
    "best_constant": "best constant",
    "random": "random",
}
_KINDS = {"optimum": "optimum", "value": "learned"}


def run_sections(story: RunStory, describe: Describe) -> str:
    """Everything of one run; ``describe``: an event in words, empty for one that is not told."""
    summary = story.summary
    made = [
        f"{summary.agents} agents" if summary.agents else "",
        f"{summary.copies} copies" if summary.copies else "",
        summary.algorithm or "",
        f"under {summary.structure}" if summary.structure else "",
        "" if summary.seed is None else f"seed {summary.seed}",
    ]
    head = (
        f"<h2>{text(summary.path)}</h2><p class='soft'>{text(summary.task)}: {text(', '.join(filter(None, made)))}; "
        f"{text(summary.state)}, update {summary.update} of {summary.updates or 'unknown'}</p>"
    )
    troubles = "".join(f'<p class="doubt">{text(trouble)}</p>' for trouble in story.troubles)
    cards = [_worth(story), _curves(story), _rule(story), _agreement(story), _history(story, describe), _hosts(story)]
    cards.append(_configuration(story))
    return head + troubles + "".join(cards)


def _worth(story: RunStory) -> str:
    """What the rule is worth beside the optimum and what is earned blindly."""
    values = {**story.summary.values, **{name: value for name, value in story.result.items() if name in _NAMES}}
    figures = [(_NAMES[name], value, _KINDS.get(name, "")) for name in _NAMES if (value := values.get(name)) is not None]
    plain, error = story.result.get("value_monte_carlo"), story.result.get("value_monte_carlo_stderr")
    said = []
    if values.get("value") is None and plain is not None:
        figures.append(("learned rule", float(plain), "learned"))
    gap = story.result.get("gap", story.summary.values.get("gap"))
    if gap is not None:
        said.append(f"The gap to the optimum is {figure(100 * gap, 2)} %.")
    if story.result.get("best_constant_prescription"):
        said.append(f"Best constant prescription: {story.result['best_constant_prescription']}.")
    if plain is not None:
        said.append(f"Plain Monte Carlo: {figure(plain)} ± {figure(error or 0.0)}.")
    warnings = [
        words
        for name, words in (
            ("no_better_than_blind", "The rule is no better than one prescription, played blindly."),
            ("ais_collapsed", "The AIS has collapsed: whatever was seen, it says the same, or nearly so."),
        )
        if story.result.get(name)
    ]
    if not figures:
        return section("What the rule is worth", "<p>It was not valued.</p>")
    told = f"<p class='soft'>{text(' '.join(said))}</p>" if said else ""
    doubts = "".join(f'<p class="doubt">{text(words)}</p>' for words in warnings)
    return section("What the rule is worth", tracks(figures) + told + doubts)


def _curves(story: RunStory) -> str:
    values, result = story.summary.values, story.result
    levels = [
        Level(_NAMES[name], float(value), kind)
        for name, kind in (("optimum", "optimum"), ("best_constant", "constant"))
        if (value := result.get(name, values.get(name))) is not None
    ]
    cards = ""
    if story.values:
        cards += section("The rule's value while it was learned", plot("value of the greedy rule", story.values, levels))
    if story.rewards:
        cards += section("What the team earned while it learned", plot("mean reward per step", story.rewards))
    return cards


def _rule(story: RunStory) -> str:
    if not story.rule:
        return section("The rule", f"<p>{text(story.rule_note)}</p>")
    rows = [[str(row.decision), row.common, row.prescription, f"{100 * row.share:.1f} %"] for row in story.rule]
    note = (
        "The first decisions of the greedy rule, played in 2,000 copies: after what has become common (the numbers of the "
        "common observations, in order), which prescription it chooses, and how often that comes."
    )
    shown = table(["decision", "common so far", "prescription", "share"], rows, "nlln")
    return section("The rule", f"<p class='soft'>{text(note)}</p>{shown}")


def _agreement(story: RunStory) -> str:
    word, kind = {True: ("All agree.", "good"), False: ("They differ.", "bad"), None: ("", "")}[story.agreed]
    digests = story.summary.digests
    said = f'<p class="lines"><strong class="{kind}">{word}</strong> {text(story.agreement)}</p>'
    if len(set(digests.values())) == 1:
        names = "one learner" if len(digests) == 1 else f"{len(digests)} agents"
        said += f"<p>Learner digest of {names}: <code>{text(next(iter(digests.values())))}</code></p>"
    elif digests:
        said += table(["agent", "learner digest"], [[agent, digest] for agent, digest in digests.items()], "sl", "agents")
    return section("Agreement", said)


def _history(story: RunStory, describe: Describe) -> str:
    told = [(when, words) for when, event in story.history if (words := describe(event))]
    if not told:
        return section("What happened", "<p>Nothing was written down: no process joined, died or came back.</p>")
    begin = told[0][0]
    rows = [[_since(when - begin), words] for when, words in told[:_MOST_EVENTS]]
    first = f"<p class='soft'>Since {_clock(begin)} UTC, by the clocks of the hosts that wrote it down.</p>"
    more = f"<p>and {len(told) - _MOST_EVENTS} more</p>" if len(told) > _MOST_EVENTS else ""
    return section("What happened", first + table(["after", "event"], rows, "sl", "events") + more)


def _hosts(story: RunStory) -> str:
    size = f"<p>{_size(story.summary.size)} on disk.</p>"
    result, speed = story.result, ""
    if result.get("wall_s") and result.get("lockstep_per_s"):
        lock_steps, steps = figure(result["lockstep_per_s"], 1), figure(result["env_steps_per_s"], 0)
        whole = _since(result["wall_s"])
        speed = f"<p>{lock_steps} lock-steps and {steps} environment steps per second; {whole} in all.</p>"
    hosts = story.summary.hosts
    rows = [[name, hosts.get(name.removeprefix("agent "), "-"), _size(size)] for name, size in story.sizes.items()]
    shown = table(["party", "host", "size"], rows, "sln", "parties") if rows else ""
    return section("Hosts and size", speed + size + shown)


def _configuration(story: RunStory) -> str:
    if not story.configuration:
        return ""
    return section("Configuration", folded("config.toml", f"<pre>{text(story.configuration)}</pre>"))


def _clock(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(when))


def _since(seconds: float) -> str:
    whole = int(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min" if whole >= 3600 else f"{whole // 60} min {whole % 60:02} s"


def _size(size: float) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:,.1f} kB"
