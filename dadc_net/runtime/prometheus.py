"""What a party tells of itself, for Prometheus to read: an observer of events, and an HTTP server (extra ``metrics``).

It answers from what it heard last, on a thread of its own; nothing that reads it can hold the party up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from dadc_net.errors import TemporaryError, UsageError
from dadc_net.runtime.events import (
    AgentMeasured,
    Evaluated,
    Event,
    Joined,
    Learned,
    Left,
    ServerMeasured,
    Silent,
    Updated,
)
from dadc_net.runtime.status import TeamStatus

Sample = tuple[dict[str, str], float]
"""Labels, value."""


class PartyMetrics:
    """The observer: the newest of everything, as families of samples."""

    def __init__(self) -> None:
        self._server: ServerMeasured | None = None
        self._agent: AgentMeasured | None = None
        self._team: TeamStatus | None = None
        self._updated: Updated | None = None
        self._learned: Learned | None = None
        self._valued: Evaluated | None = None
        self._joins: Counter[int] = Counter()
        self._departures: Counter[int] = Counter()
        self._reconnections = 0

    def on(self, event: Event) -> None:
        """Remember ``event``."""
        match event:
            case ServerMeasured():
                self._server = event
            case AgentMeasured():
                self._agent = event
            case TeamStatus():
                self._team = event
            case Updated():
                self._updated = event
            case Learned():
                self._learned = event
            case Evaluated():
                self._valued = event
            case Joined(agent=agent):
                self._joins[agent] += 1
            case Left(agent=agent):
                self._departures[agent] += 1
            case Silent():
                self._reconnections += 1

    def families(self) -> list[tuple[str, str, str, list[Sample]]]:
        """(kind, name, help, samples), ``kind`` being counter or gauge; those of which nothing is known yet are left out."""
        found = [*self._own(), *self._of_team(), *self._of_learning()]
        return [family for family in found if family[3]]

    def _own(self) -> Iterable[tuple[str, str, str, list[Sample]]]:
        own = self._server or self._agent
        if own is not None:
            phases = [({"phase": phase}, seconds) for phase, seconds in sorted(own.phase_seconds.items())]
            yield "counter", "dadc_lock_steps", "Lock-steps by this process", [({}, float(own.records))]
            yield "counter", "dadc_lock_step_seconds", "Seconds of lock-steps, by phase", phases
            yield "gauge", "dadc_chain_tip", "Number of the newest record", [({}, float(own.tip))]
            yield "gauge", "dadc_memory_bytes", "Memory that this process holds", [({}, float(own.memory_bytes))]
        if self._server is not None:
            refused = [({"reason": reason}, float(count)) for reason, count in sorted(self._server.refused.items())]
            compared: list[Sample] = [({}, float(self._server.digests_compared))]
            yield "counter", "dadc_resent_records", "Records sent again, unanswered", [({}, float(self._server.resent))]
            yield "counter", "dadc_refused", "Messages, keys and connections refused, by reason", refused
            yield "counter", "dadc_digests_compared", "Digests of agents that were compared, and equal", compared
        if self._agent is not None:
            yield "counter", "dadc_reconnections", "Times it connected anew", [({}, float(self._reconnections))]
            if self._agent.server_silent_s is not None:
                silent: list[Sample] = [({}, self._agent.server_silent_s)]
                yield "gauge", "dadc_server_silent_seconds", "Seconds since the server was heard", silent

    def _of_team(self) -> Iterable[tuple[str, str, str, list[Sample]]]:
        joins = [({"agent": str(agent)}, float(count)) for agent, count in sorted(self._joins.items())]
        left = [({"agent": str(agent)}, float(count)) for agent, count in sorted(self._departures.items())]
        yield "counter", "dadc_joins", "Times an agent joined; more than one: it came back", joins
        yield "counter", "dadc_departures", "Times an agent went", left
        if self._team is None:
            return
        agents = [({"agent": str(one.agent)}, one) for one in self._team.agents]
        heard = [(label, one.silent_s) for label, one in agents if one.silent_s is not None]
        yield "gauge", "dadc_last_step", "Number of the run's last record", [({}, float(self._team.last_step))]
        yield "gauge", "dadc_agent_present", "1: it takes part", [(label, float(one.present)) for label, one in agents]
        yield "gauge", "dadc_agent_lag", "Records it is behind", [(label, float(one.lag)) for label, one in agents]
        yield "gauge", "dadc_agent_straggler", "1: waited for", [(label, float(one.straggler)) for label, one in agents]
        yield "gauge", "dadc_agent_silent_seconds", "Seconds since an agent was heard", heard

    def _of_learning(self) -> Iterable[tuple[str, str, str, list[Sample]]]:
        if self._updated is not None:
            yield "gauge", "dadc_updates", "Updates of the learner", [({}, float(self._updated.update))]
            yield "gauge", "dadc_updates_planned", "Of the whole run", [({}, float(self._updated.updates))]
            yield "gauge", "dadc_reward_per_step", "Of the last batch", [({}, self._updated.reward_per_step)]
        if self._learned is not None:
            losses = [({"name": name}, value) for name, value in sorted(self._learned.losses.items())]
            yield "gauge", "dadc_loss", "Losses and diagnostics of the last update", losses
        if self._valued is not None and self._valued.value is not None:
            yield "gauge", "dadc_value", "Value of the greedy rule", [({}, self._valued.value)]


class ServedMetrics(PartyMetrics):
    """The same, which others can read at ``address`` until it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.address = ""
        self.end: Callable[[], None] = lambda: None

    def close(self) -> None:
        """Serve nothing more."""
        self.end()


def serve_metrics(place: str) -> ServedMetrics:
    """Metrics that are served at ``place``, PORT or HOST:PORT; on this host only unless one is named.

    Raises:
        UsageError: without prometheus_client, or for a place that is none.
        TemporaryError: if the port is taken.
    """
    host, _, port = place.rpartition(":")
    if not port.isdigit() or int(port) > 65535:
        raise UsageError(
            f"--metrics-port is {place!r}, but must be a port or HOST:PORT, such as 9100 or 0.0.0.0:9100. Nothing was "
            "started. Correct it; port 0 takes a free one."
        )
    try:
        from prometheus_client import CollectorRegistry, start_http_server
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
    except ImportError as error:
        raise UsageError(
            f"--metrics-port needs the package prometheus_client: {error}. Nothing was started. Install the extra metrics: "
            "pip install 'dadc-net[metrics]'."
        ) from error

    metrics = ServedMetrics()

    class Collector:
        """Makes families when somebody asks."""

        def collect(self) -> Iterable[Any]:
            """As prometheus_client asks."""
            for kind, name, text, samples in metrics.families():
                labels = sorted(samples[0][0])
                made = (CounterMetricFamily if kind == "counter" else GaugeMetricFamily)(name, text, labels=labels)
                for found, value in samples:
                    made.add_metric([found[label] for label in labels], value)
                yield made

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector())
    try:
        server, thread = start_http_server(int(port), host or "127.0.0.1", registry)
    except OSError as error:
        raise TemporaryError(
            f"--metrics-port {place} cannot be opened: {error.strerror}. Nothing was started. Give another port, or end "
            "the process that has it."
        ) from error

    def close() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    metrics.address, metrics.end = f"http://{host or '127.0.0.1'}:{server.server_port}/metrics", close
    return metrics
