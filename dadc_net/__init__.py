"""dadc-net: decentralised actor, decentralised critic, as processes that agree bit for bit.

K agent processes learn one team policy without a central critic, actor or parameter server: each runs the same virtual
coordinator on the same common information. In reading order:

    exact         the same bits on every host: grid arithmetic, random streams, digests
    team          the problem: environments, information structures, prescription menus
    planning      exact optima of the coordinated system
    coordinator   the learner: state approximator, critic, actor. Common information only
    node          the two roles, agent and environment server, without I/O
    wire          bytes and sockets
    runtime       processes, files, launcher, simulation, consistency check
    cli           the commands

ARCHITECTURE.md tells one time step as a story.
"""

__version__ = "0.2.0"

_PLACES = {
    **dict.fromkeys(("simulate", "plan", "evaluate", "load_rule", "to_pettingzoo"), "dadc_net.experiment.library"),
    "check_task": "dadc_net.team.conformance",
    "Task": "dadc_net.team.tasks",
    "FiniteModel": "dadc_net.team.finite.model",
    "AgentSpec": "dadc_net.team.agent_spec",
    **dict.fromkeys(("ControlSharing", "MeanFieldSharing", "NoSharing"), "dadc_net.team.structures.own_memory"),
    **dict.fromkeys(("DelayedSharing", "FullSharing"), "dadc_net.team.structures.delayed"),
    "PeriodicSharing": "dadc_net.team.structures.periodic",
}
"""What programs use, and where it is. Loaded when it is asked for: a command or a test need not wait for torch."""
__all__ = sorted(_PLACES)


def __getattr__(name: str) -> object:
    """PEP 562."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
