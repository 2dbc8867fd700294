"""A finished run cut to what is needed later: what it learned, what it was, and what was said of it.

What goes is what a run needs to go on and an inquest needs to look back: journals, all checkpoints but the newest, keys.
What stays can be evaluated, plotted and reported. The journals are compared first, because afterwards nobody can.
"""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dadc_net import atomic_file
from dadc_net.audit.consistency import check
from dadc_net.errors import DivergenceError, UsageError
from dadc_net.experiment.kept_runs import FINISHED, facts_of
from dadc_net.experiment.result_file import RESULT_NAME
from dadc_net.storage import arrays_file
from dadc_net.storage.agent_journal import checkpoint_path, checkpoint_steps
from dadc_net.storage.folder import locked
from dadc_net.storage.journal_file import JOURNAL_NAME
from dadc_net.storage.kept_run import KeptRun, is_pruned
from dadc_net.storage.run_folder import PRUNED_FILE, RunFolder

_FACTS = (
    *("agent", "num_agents", "run_id", "state", "settings_digest", "last_step", "learner_digests", "learner_digest"),
    "host",
)
"""Of a journal: what stays of it. No seed, no commitment to one."""


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """What was done."""

    before: int
    """Bytes."""
    after: int
    files: int
    """Removed."""
    checked: str
    """What the comparison of the journals said, or why there was none."""

    def to_plain(self) -> dict[str, Any]:
        """For --json."""
        return asdict(self)


def prune(run: KeptRun, unchecked: bool = False) -> Pruned:
    """Cut ``run``.

    Args:
        unchecked: also where the journals of fewer than two agents are here, so that they cannot be compared.

    Raises:
        UsageError: if the run is not finished, or was not compared.
        DivergenceError: if the journals differ: they are what tells who was wrong.
        CorruptStateError: if the newest checkpoint is damaged.
        DuplicateAgentError: if a process is at it.
    """
    journals = [folder for folder in run.parties.values() if (folder / JOURNAL_NAME).exists()]
    if not journals and not (run.path / RESULT_NAME).is_file() and not any(map(is_pruned, run.parties.values())):
        raise UsageError(f"{run.path} holds no finished run. Only a finished run can be cut. Give the folder of one.")
    with ExitStack() as held:
        for folder in dict.fromkeys([run.path, *journals]):
            held.enter_context(locked(folder, "dadc prune"))
        _refuse_unfinished(journals)
        for folder in run.parties.values():
            for newest in checkpoint_steps(folder)[:1]:
                arrays_file.load(checkpoint_path(folder, newest))  # It may be the one that has rotten.
        before = run.size
        said = _compared(journals, unchecked)
        files = sum(_cut_party(folder, said) for folder in run.parties.values())
        files += _remove_folder(RunFolder(run.path).keys)
    return Pruned(before=before, after=run.size, files=files, checked=said)


def _refuse_unfinished(journals: list[Path]) -> None:
    for folder in journals:
        facts = facts_of(folder)
        if facts.get("state") != FINISHED:
            state = "diverged" if "stopped" in facts else "is not finished"
            raise UsageError(
                f"the run in {folder} {state}. Its journal is what it goes on from, or what tells who was wrong. Only a "
                "finished run can be cut; nothing was removed."
            )


def _compared(journals: list[Path], unchecked: bool) -> str:
    """What ``dadc check`` finds in them, in words."""
    agents = [folder for folder in journals if facts_of(folder).get("agent") != 0]
    if not journals:
        return "there was no journal to compare"
    if len(agents) < 2:
        if not unchecked:
            raise UsageError(
                f"{len(agents)} journal of an agent is here, and two are needed to compare them. Once they are gone, nobody "
                "can. Give the folders of the others as well, or add --unchecked."
            )
        return "not compared: fewer than two agents' journals were here"
    found = check(journals)
    if not found.consistent:
        told = "" if found.first_divergence is None else found.first_divergence.text()
        raise DivergenceError(f"the journals differ, and nothing was removed: {told}")
    return f"consistent: {', '.join(found.parties)} agreed on {found.steps_compared} records"


def _cut_party(folder: Path, said: str) -> int:
    """Remove what is not needed later, after its facts were written down; how many files."""
    journal = folder / JOURNAL_NAME
    if journal.exists():
        facts = facts_of(folder)
        kept = {name: facts[name] for name in _FACTS if name in facts} | {"checked": said}
        atomic_file.replace(folder / PRUNED_FILE, (json.dumps(kept, indent=2) + "\n").encode("utf-8"))
    gone = [*folder.glob(f"{JOURNAL_NAME}*")] if is_pruned(folder) else []
    gone += [checkpoint_path(folder, step) for step in checkpoint_steps(folder)[1:]]
    for path in gone:
        path.unlink()
    return len(gone)


def _remove_folder(folder: Path) -> int:
    if not folder.is_dir():
        return 0
    files = sum(1 for path in folder.rglob("*") if not path.is_dir())
    shutil.rmtree(folder)
    return files
