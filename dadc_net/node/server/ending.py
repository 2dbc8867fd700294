"""The end of a run at the environment server: what is kept of it, and who has said that it kept the result too.

From End on agents may leave for good, and then nobody could supply what the server loses: the end is therefore synced in
every mode before it is sent. The server stays until every agent has said Bye, or nobody can be told any more.
"""

from __future__ import annotations

from dadc_net.errors import CorruptStateError
from dadc_net.node.rows import ServerJournal
from dadc_net.node.server.server_log import ServerLog


class RunEnding:
    """Of one run with ``num_agents`` agents, whose last record is ``last_step``."""

    def __init__(self, last_step: int, num_agents: int) -> None:
        self.digests: dict[int, bytes] = {}
        """Learner digest that each agent reported at the end; one and the same unless learners are independent."""
        self.confirmed: set[int] = set()
        """Agents that have kept the result."""
        self._last_step = last_step
        self._num_agents = num_agents
        self._given_up = False

    @property
    def over(self) -> bool:
        """Whether nobody is left to be told."""
        return self._given_up or len(self.confirmed) == self._num_agents

    def begin(self, digests: dict[int, bytes], journal: ServerJournal) -> None:
        """All records are answered and agreed on."""
        self.digests = digests
        journal.note("learner_digests", [digest.hex() for _, digest in sorted(digests.items())])
        journal.note("state", "finished")
        journal.sync()

    def recall(self, log: ServerLog, shared: bool) -> bool:
        """After a recovery: whether the run was finished already; ``shared``: learner digests must be equal."""
        facts = log.journal.facts
        self.confirmed = set(facts.get("confirmed", ()))
        if facts.get("state") == "finished":
            self.digests = {k: bytes.fromhex(digest) for k, digest in enumerate(facts["learner_digests"], start=1)}
            return True
        try:
            answers = log.journal.answers(self._last_step) if log.step == self._last_step else None
        except CorruptStateError:
            answers = None  # The agents are asked again.
        if answers is None or len(set(answers.digests)) > 1 or (shared and len(set(answers.update_digests)) > 1):
            return False  # Under way, or the agents differed at the last record.
        self.begin(dict(enumerate(answers.update_digests, start=1)), log.journal)
        return True

    def confirm(self, agent: int, journal: ServerJournal) -> None:
        """``agent`` said Bye."""
        self.confirmed.add(agent)
        journal.note("confirmed", sorted(self.confirmed))

    def give_up(self) -> None:
        """Who has not confirmed by now cannot be told; the result stands all the same, and a restart tells them."""
        self._given_up = True
