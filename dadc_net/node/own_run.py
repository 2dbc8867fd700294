"""What an agent notes of its run when it begins, and what must be the same when it comes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dadc_net.coordinator.settings import CoordinatorSettings
from dadc_net.errors import MismatchError
from dadc_net.node.identity import AgentIdentity
from dadc_net.node.messages import Begin


def facts_of(identity: AgentIdentity, begin: Begin, settings: CoordinatorSettings) -> dict[str, Any]:
    """The facts of a new journal (JSON data): all that is needed to take part again without the server."""
    own = identity.structure
    return {
        "agent": identity.agent,
        "run_id": begin.run_id.hex(),
        "epoch": begin.epoch,
        "settings": begin.settings,
        "settings_digest": settings.digest().hex(),
        "commitment": identity.commitment.hex(),
        "private_commitment": identity.private_commitment.hex(),
        "structure": begin.structure if own is None else own.name,
        "family": begin.family,
        "observation_space": begin.observation_space,
        "last_step": settings.updates * settings.learner.batch_lock_steps,
        "host": identity.host,
        "state": "running",
    }


def refuse_another(
    identity: AgentIdentity, facts: Mapping[str, Any], settings: CoordinatorSettings, tip: int
) -> None:
    """Compare the journal's ``facts`` with what the agent was started with; ``tip``: the newest record it holds.

    Raises:
        MismatchError: naming what differs, and both values.
    """
    wanted, own = identity.settings_digest, identity.structure
    for what, held, given in (
        ("agent id", facts["agent"], identity.agent),
        ("seed commitment", facts["commitment"][:16], identity.commitment.hex()[:16]),
        ("private seed commitment", facts["private_commitment"][:16], identity.private_commitment.hex()[:16]),
        ("settings digest", settings.digest().hex()[:16], (wanted or settings.digest()).hex()[:16]),
        ("information structure", facts["structure"], facts["structure"] if own is None else own.name),
    ):
        if held != given:
            raise MismatchError(
                f"the state folder holds a run with the {what} {held}, this agent was started with {given}. Nothing was "
                f"changed; the run stands at record {tip}. Start it as before, or give another folder."
            )
