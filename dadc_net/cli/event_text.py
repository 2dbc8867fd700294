"""Events in words, for screens."""

from __future__ import annotations

from dadc_net.runtime.events import (
    AgentFinished,
    AgentResumed,
    Began,
    Event,
    Failed,
    Joined,
    Left,
    Listening,
    Refereed,
    Restarted,
    ServerFinished,
    ServerResumed,
    Silent,
    Troubled,
    Waiting,
    Warned,
)


def trouble_text(event: Event) -> str:
    """What is reported of troubles, as a line; empty for what is no trouble."""
    match event:
        case ServerResumed(step=step, lost=lost, epoch=epoch, anew=anew):
            asked = f"; the agents are asked for {lost} records that its disk has lost" if lost else ""
            where = f"at record {step}" if step >= 0 else "before its first record"
            cut = "; every copy begins a new episode, since the environment cannot be wound back" if anew else ""
            return f"server resumes {where}, epoch {epoch}{asked}{cut}"
        case AgentResumed(agent=agent, step=step, computed=computed):
            return f"agent {agent} resumes at record {step}, {computed} of them computed again"
        case Left(agent=agent, step=step):
            return f"agent {agent} has gone at record {step}; waiting for it"
        case Waiting(step=step, agents=agents, present=present):
            names = ", ".join(f"agent {agent} ({'busy or stuck' if agent in present else 'gone'})" for agent in agents)
            return f"record {step} still waits for {names}"
        case Silent(agent=agent, seconds=seconds):
            why = f"the server has been silent for {seconds:.0f} s" if seconds >= 1 else "the connection broke"
            return f"agent {agent}: {why}; connecting anew"
        case Troubled(agent=agent, text=text):
            return f"agent {agent}: {text}" if text else ""
        case Refereed(step=step):
            return f"computing records 0 to {step} again, to see who is wrong"
        case Restarted(party=party, signal=signal):
            return f"{party} was killed by signal {signal} and is started again"
        case Warned(text=text):
            return f"warning: {text}"
        case _:
            return ""


def party_text(event: Event) -> str:
    """What a party by itself says of its run, troubles and all."""
    match event:
        case Listening(endpoint=endpoint):
            return f"listening at {endpoint}"
        case Joined(agent=agent, hostname=hostname, missing=missing):
            waiting = f"; waiting for {', '.join(f'agent {other}' for other in missing)}" if missing else "; all joined"
            return f"agent {agent} joined from {hostname}{waiting}"
        case Began(run_id=run_id):
            return f"run {run_id[:8]} begins"
        case _:
            return trouble_text(event)


def history_text(event: Event) -> str:
    """What is told of a run when one looks back at it, its end and its errors too."""
    match event:
        case ServerFinished():
            return "all agents have reported; the run is over"
        case AgentFinished(agent=agent):
            return f"agent {agent} has ended the run"
        case Failed(party=party, exit_code=code, text=text):
            return f"{party} ended with exit code {code}: {text}"
        case Began(agent=agent):
            return f"agent {agent} takes part"
        case _:
            return party_text(event)
