"""What the environment server lets in: agents whose past belongs to this run, and answers that fit their record."""

from __future__ import annotations

from dadc_net.errors import CorruptStateError, DadcError, MismatchError, ProtocolError, TemporaryError
from dadc_net.node.messages import EPOCH_MAX, NO_RUN, Act, Join
from dadc_net.node.server.server_log import ServerLog

EPOCHS_AHEAD = 1000
"""How many starts a server can have forgotten, at most, by an older copy of its folder."""


def check_past(join: Join, run_id: bytes, epoch: int, log: ServerLog) -> DadcError | None:
    """Why what a joining agent holds does not belong to this run and this log, or None.

    Nothing is remembered here: it may be refused yet, or wait for a place that another one holds.
    """
    if join.run_id not in (NO_RUN, run_id):
        return MismatchError(
            f"agent {join.agent} holds {join.next_step} records of run {join.run_id.hex()[:8]}, this server serves run "
            f"{run_id.hex()[:8]}. Nothing was mixed. Start the server on its old state folder, or the agent on an empty one."
        )
    if join.run_id == run_id and join.epoch > min(epoch + EPOCHS_AHEAD, EPOCH_MAX):
        return CorruptStateError(
            f"agent {join.agent} says that it has met epoch {join.epoch} of this run, this server is epoch {epoch}. An "
            f"epoch counts the starts of a server, and nobody starts one {join.epoch - epoch} times more: its folder is "
            "damaged, or its word false. Start the agent on an empty folder; it is led through the log again."
        )
    if join.run_id == run_id and join.epoch > epoch:
        return TemporaryError(
            f"agent {join.agent} has met epoch {join.epoch} of this run, this server is epoch {epoch}. Either another "
            "server has taken over: stop this one. Or this server's folder is an older copy: stop it, and start dadc-env "
            f"with --epoch {join.epoch + 1} besides, or dadc run on the whole run folder, which finds the epoch itself."
        )
    if join.run_id == NO_RUN:
        return None
    other = log.contradicted(join.agent, join.next_step - 1, join.head)
    return None if other is None else CorruptStateError(
        f"agent {join.agent} holds another record {join.next_step - 1} than {other}: its chain hash is "
        f"{join.head.hex()[:16]}. The logs parted at or before it. Run dadc check on the folders, and start the one that is "
        "wrong on an empty folder."
    )


def next_epoch(before: int, least: int) -> int:
    """The epoch of a server's next start; ``before``: of its last one, from its journal; ``least``: what was asked for.

    A journal from before implausible epochs were refused may hold one. Then only ``least`` can say where to go on.

    Raises:
        CorruptStateError: if there is none.
    """
    plausible = 0 <= before < EPOCH_MAX
    if not plausible and least <= 0:
        raise CorruptStateError(
            f"the server's journal says that its last start was epoch {before}. An epoch counts starts and lies below "
            f"{EPOCH_MAX}, so it is not this one; nothing was changed. Start dadc-env with --epoch N besides, N above the "
            "epochs in the agents' log.txt, or dadc run on the whole run folder, which finds the epoch itself."
        )
    return max(before + 1, least) if plausible else least


def require_fields(act: Act, closes: bool, last: bool) -> None:
    """Refuse an answer with fields that do not belong to its record; the record stays open for a correct one.

    Args:
        closes: the record closed a batch, so a learner digest belongs to the answer.
        last: it is the last record, so no actions do.

    Raises:
        ProtocolError: if something belongs that is not there, or is there and does not.
    """
    if bool(act.learner_digest) is not closes or (last and act.actions):
        raise ProtocolError(
            f"agent {act.agent} answered record {act.step} with {len(act.actions)} bytes of actions and "
            f"{'a' if act.learner_digest else 'no'} learner digest, which do not belong there. The answer was not used. "
            "Check that server and agent run the same version of dadc-net."
        )
