"""How a process ends that does not end well: the one place where any error becomes a sentence, an exit code, a log entry."""

from __future__ import annotations

import errno
import logging
import os
import traceback

from dadc_net.errors import (
    DadcError,
    Interrupted,
    InvariantError,
    TemporaryError,
    UsageError,
    UserCodeError,
    foreign_words,
)

TRACEBACK = "DADC_TRACEBACK"
"""Set to 1, an unexpected error shows its traceback also where there is no log."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)
_log = logging.getLogger("dadc_net")


def ending_of(error: BaseException, what: str = "this command") -> DadcError:
    """``error`` as the sentence and exit code that ``what`` ends with; the log, if there is one, says it too."""
    found = _translated(error, what)
    if not _log.handlers:
        if isinstance(found, InvariantError | UserCodeError) and os.environ.get(TRACEBACK) == "1":
            traceback.print_exception(error)
    elif isinstance(found, Interrupted):
        _log.info("ended with exit code %d: %s", found.exit_code, found)
    else:
        _log.error("ended with exit code %d: %s", found.exit_code, found)
        if isinstance(found, InvariantError | UserCodeError) and not found.speaker:
            _log.error("".join(traceback.format_exception(error)))
    return found


def _translated(error: BaseException, what: str) -> DadcError:
    if isinstance(error, UserCodeError) and error.__cause__ is not None:
        told = UserCodeError(f"{error} It says: \"{foreign_words(_named(error.__cause__))}\"")
        return told.with_traceback(error.__traceback__)
    if isinstance(error, DadcError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Interrupted(f"{what} was stopped by SIGINT. What was finished before is kept. Give the same command again.")
    if isinstance(error, MemoryError):
        return UsageError(
            f"{what} needs more memory than there is: {error or 'none was left'}. What was finished before is kept. Make it "
            "smaller: fewer agents, learner.num_envs, learner.batch_steps or memory_steps."
        )
    if isinstance(error, OSError) and error.errno in _NO_DESCRIPTORS:
        return TemporaryError(
            f"{what} could not open another file: {error.strerror}. What was finished before is kept. Raise the limit "
            "(ulimit -n), then start the same command again."
        )
    if isinstance(error, OSError) and (error.filename is not None or error.errno in _NO_ROOM):
        kind = TemporaryError if error.errno in _NO_ROOM else UsageError
        return kind(
            f"{error.filename or 'a file'} cannot be used: {error.strerror}. What was finished before is kept. Check the "
            "path, its owner and mode, and the disk."
        )
    where = traceback.extract_tb(error.__traceback__)
    place = f" in {where[-1].filename}, line {where[-1].lineno}" if where else ""
    seen = "The whole traceback is in log.txt" if _log.handlers else f"{TRACEBACK}=1 in the environment shows its traceback"
    return InvariantError(
        f"{what} met an error that nobody foresaw: {_named(error)}{place}. What was finished before is kept. {seen}; please "
        "report it as a bug of dadc-net."
    )


def _named(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
