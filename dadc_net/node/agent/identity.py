"""Who an agent is: its id, its shared seed, what it insists on, and what it shows of them to the server."""

from __future__ import annotations

from dataclasses import dataclass, field

from dadc_net.exact.digest import derive_key, keyed
from dadc_net.node.agent.starting_rule import StartingRule
from dadc_net.team.structures.structure import InformationStructure


@dataclass(frozen=True, kw_only=True)
class AgentIdentity:
    """What an agent process is started with."""

    agent: int
    """1..K"""
    shared_seed: bytes = field(repr=False)
    selftest: bytes
    settings_digest: bytes = b""
    """Digest of the settings it insists on; empty: whatever the server says."""
    host: dict[str, str] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    """As in ``Join``."""
    structure: InformationStructure | None = None
    """The user's own structure, loaded on this host; a name sent by the server is looked up among built-in ones."""
    private_seed: bytes = field(default=b"", repr=False)
    """Of the stream that the agent draws its own actions with; empty: the shared seed, so that runs repeat."""
    rule: StartingRule | None = field(default=None, repr=False)
    """The learned rule that it was given to begin with."""
    patience_s: float = 300.0
    """How long a lost server is waited for."""
    checkpoint_every: int = 0
    """Updates between checkpoints that are made whatever the time; 0: none."""

    @property
    def commitment(self) -> bytes:
        """What it shows of its seed at joining."""
        return commitment(self.shared_seed)

    @property
    def rule_digest(self) -> bytes:
        """What it says of the rule at joining; empty: it has none."""
        return b"" if self.rule is None else self.rule.digest

    @property
    def private_commitment(self) -> bytes:
        """What it notes of the seed of its own draws, in its own folder."""
        return commitment(self.private_seed or self.shared_seed)


def commitment(shared_seed: bytes) -> bytes:
    """Lets seeds be compared: 32 bytes, the same for the same seed, and no help in guessing a long one."""
    return keyed(derive_key("commitment", shared_seed), b"dadc-net shared seed")
