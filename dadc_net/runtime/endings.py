"""How a party's run ends when more than one thing has come together: what ended it is told, not what followed from that."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dadc_net import atomic_file
from dadc_net.audit.first_divergence import FirstDivergence
from dadc_net.config import RunConfig
from dadc_net.errors import DadcError, DivergenceError, Interrupted, InvariantError, TemporaryError
from dadc_net.node.server.server_node import EnvironmentServerNode
from dadc_net.node.server.terms import ServerPhase
from dadc_net.runtime.control import StopRequest
from dadc_net.storage import arrays_file
from dadc_net.storage.run_folder import STOPPED_FILE, config_file

if TYPE_CHECKING:  # A server does without torch.
    from dadc_net.node.agent.agent_node import AgentNode

_log = logging.getLogger(__name__)


def first_cause(failures: Sequence[DadcError]) -> DadcError:
    """The failure that the others follow from, of one or more.

    A divergence or a refusal comes before a peer that left, a deadline or a stop, told by whoever found it rather than by
    who heard of it.
    """
    return min(failures, key=lambda error: (isinstance(error, TemporaryError | Interrupted), bool(error.speaker)))


def with_journals(error: DadcError, ask: Callable[[], FirstDivergence | None]) -> DadcError:
    """``error``; a divergence with what ``ask`` finds of it in the journals."""
    if not isinstance(error, DivergenceError):
        return error
    try:
        found = ask()
    except DadcError as trouble:  # A journal that cannot be read must not hide what happened.
        return DivergenceError(f"{error}\nThe journals say no more: {trouble}")
    return error if found is None else DivergenceError(f"{error}\n{found.text()}")


def raise_if_unfinished(node: EnvironmentServerNode, stop: StopRequest) -> None:
    """Raise what ended a server's run before it was finished.

    Raises:
        DadcError: the node's own error, or the wish to stop where the run was sound when it came: a divergence is not an
            interruption.
    """
    stopped = stop.reason and (node.error is None or isinstance(node.error, TemporaryError))
    if node.phase is not ServerPhase.FINISHED and stopped:
        raise stop.error()
    if node.error is not None:
        raise node.error
    if node.phase is not ServerPhase.FINISHED:
        raise InvariantError(f"the server left its loop while {node.phase.value}")


def keep_divergence(node: AgentNode, folder: Path) -> None:
    """Write down what an agent was at a divergence: every tensor's digest, for ``dadc check``, and its whole state.

    The state lies apart from checkpoints: nobody resumes from it, ``dadc replay --diff`` shows it. A disk that refuses costs
    these files and hides nothing.
    """
    if node.member is None:
        return
    coordinator, step = node.member.replica.coordinator, node.next_step - 1
    tensors = {name: value.hex() for name, value in coordinator.tensor_digests().items()}
    try:
        node.log.store.note("stopped", {"step": step, "tensors": tensors})
    except TemporaryError as error:
        _log.warning("the tensors' digests could not be written down: %s", error)
    meta = {"agent": node.identity.agent, "run_id": node.run_id.hex(), "step": step}
    try:
        arrays_file.save(folder / STOPPED_FILE, coordinator.snapshot(), meta)
    except OSError as error:
        _log.warning("the diverged state could not be kept: %s", error)


def keep_configuration(config: RunConfig, folder: Path) -> None:
    """Write config.toml of a server's state folder anew. Raises TemporaryError if the disk refuses."""
    try:
        atomic_file.replace(config_file(folder), config.to_toml().encode("utf-8"))
    except OSError as error:
        raise TemporaryError(
            f"the folder {folder} cannot be written: {error.strerror}. No step was taken. Make room on its volume, then "
            "start the same command again."
        ) from error
