"""A golden trace: the first lock-steps of one small run, as text that people can read and machines compare.

It shows, per record, the chain head, what became common, what each agent answered, and at updates the learner digest.
``python -m tests.golden.regenerate REASON`` writes it anew.
"""

from __future__ import annotations

from pathlib import Path

from dadc_net.config import resolve
from dadc_net.node.messages import Act, Step
from dadc_net.node.record import ActionLayout, CommonLayout
from dadc_net.team.spaces import FiniteSpace
from dadc_net.wire.framing import encode
from tests.team_in_memory import Team

TRACE = Path(__file__).with_name("trace.txt")
OVERRIDES = ("learner.num_envs=2", "learner.batch_steps=8", "env.restart_steps=6", "ais.size=3", "learner.hidden_size=3")


def make_trace() -> str:
    """The text of the trace."""
    config = resolve("mabc", OVERRIDES, {"updates": 3})
    team = Team(config)
    answers: list[Act] = []
    receive = team.server.receive

    def recording(peer: bytes, key_agent: int | None, message: object, now: float):  # type: ignore[no-untyped-def]
        if isinstance(message, Act):
            answers.append(message)
        return receive(peer, key_agent, message, now)  # type: ignore[arg-type]

    team.server.receive = recording  # type: ignore[method-assign]
    team.run()
    lines = [
        "# mabc, 2 copies, 4 lock-steps per batch, 3 updates, restart after 6 steps, shared seed 7, environment seed 1",
        f"# settings digest {config.settings.digest().hex()}",
    ]
    common, actions = CommonLayout(FiniteSpace((2, 2, 3)), 2), ActionLayout(FiniteSpace((2,)), 2)
    for _, step in [(peer, m) for peer, m in team.sent if isinstance(m, Step) and peer == b"peer-1"]:
        record = common.unpack(step.record)
        flags = zip(record.begin, record.ended, strict=True)
        ends = ["begin" if begun else ("no", "truncated", "terminated")[code] for begun, code in flags]
        lines.append(f"record {step.record.step}: head {step.record.head.hex()[:16]}, {sum(map(len, encode(step)))} bytes")
        lines.append(f"  z {record.common.tolist()}  reward {record.rewards.tolist()}  {ends}")
        for act in (a for a in answers if a.step == step.record.step):
            done = actions.read(act.actions, act.step, act.agent).tolist() if act.actions else []
            lines.append(f"  agent {act.agent}: actions {done}  digest {act.step_digest.hex()[:16]}")
            if act.learner_digest:
                lines.append(f"    learner after update {act.step // 4}: {act.learner_digest.hex()}")
    return "\n".join(lines) + "\n"
