"""What the environment server lets in: agents whose past belongs to this run, and answers that fit their record."""

from __future__ import annotations

import numpy as np

from dadc_net.errors import CorruptStateError, DadcError, MismatchError, ProtocolError, TemporaryError
from dadc_net.node.messages import NO_RUN, Act, Join
from dadc_net.node.server.server_log import Answer, ServerLog


def check_past(join: Join, run_id: bytes, epoch: int, log: ServerLog) -> DadcError | None:
    """Why what a joining agent holds does not belong to this run and this log, or None.

    What it says of the log beyond ``log`` is remembered there: it is how a server that lost records finds out.
    """
    if join.run_id not in (NO_RUN, run_id):
        return MismatchError(
            f"agent {join.agent} holds {join.next_step} records of run {join.run_id.hex()[:8]}, this server serves run "
            f"{run_id.hex()[:8]}. Nothing was mixed. Start the server on its old state folder, or the agent on an empty one."
        )
    if join.run_id == run_id and join.epoch > epoch:
        return TemporaryError(
            f"agent {join.agent} has met epoch {join.epoch} of this run, this server is epoch {epoch}. Either another "
            "server has taken over: stop this one. Or this server's folder is an older copy: stop it and start the same "
            "command again, its epoch is then higher than any that was met."
        )
    if join.run_id == NO_RUN or log.witness(join.next_step - 1, join.head):
        return None
    return CorruptStateError(
        f"agent {join.agent} holds another record {join.next_step - 1} than this server or another agent: its chain hash is "
        f"{join.head.hex()[:16]}. The logs parted at or before it. Run dadc check on the folders, and start the one that is "
        "wrong on an empty folder."
    )


def unpack_answer(act: Act, closes: bool, last: bool, log: ServerLog) -> Answer:
    """An answer that belongs to its record; where it does not, the record stays open for a correct one.

    Args:
        closes: the record closed a batch, so a learner digest belongs to the answer.
        last: it is the last record, so no actions do.

    Raises:
        ProtocolError: if something belongs that is not there, or is there and does not, or an action is not in its space.
    """
    if bool(act.learner_digest) is not closes or (last and act.actions):
        raise ProtocolError(
            f"agent {act.agent} answered record {act.step} with {len(act.actions)} bytes of actions and "
            f"{'a' if act.learner_digest else 'no'} learner digest, which do not belong there. The answer was not used. "
            "Check that server and agent run the same version of dadc-net."
        )
    if last:
        return Answer(act, np.zeros(0, dtype=np.int64))
    return Answer(act, log.world.actions[act.agent - 1].read(act.actions, act.step, act.agent))
