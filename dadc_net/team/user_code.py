"""Errors of code that is not this package's: told as its author's, with file and line.

What an environment says in an error may hold what no agent may know, and every agent is told why a run ended. The sentence
therefore names the kind of the error and its place; what it says follows where the code runs (``UserCodeError.__cause__``).
"""

from __future__ import annotations

from functools import partial
from types import TracebackType

from dadc_net.errors import DadcError, UserCodeError

_OURS = "dadc_net"


def blame_owner(what: str, owner: object, error: BaseException) -> None:
    """Raise ``error`` anew as that of the author of ``owner``, which is ``what``; called where it was caught.

    It returns if ``owner`` is of this package or had no part in the error, or if the error is one that is told as it is.

    Raises:
        UserCodeError: naming module, file and line.
    """
    while isinstance(owner, partial):
        owner = owner.func
    module = getattr(owner, "__module__", None) or type(owner).__module__
    package = module.partition(".")[0]
    place = None if package == _OURS else _last_place(error.__traceback__, package)
    if place is None or isinstance(error, DadcError | MemoryError):
        return
    file = place[0].rpartition("/")[2]
    raise UserCodeError(
        f"{what} failed: {type(error).__name__} in {file}, line {place[1]}, of the module {module}. It is not part of "
        "dadc-net, and everything before is kept. Mend it there, then start the same commands again."
    ) from error


def _last_place(frames: TracebackType | None, package: str) -> tuple[str, int] | None:
    found = None
    while frames is not None:
        name = str(frames.tb_frame.f_globals.get("__name__", ""))
        if name.partition(".")[0] == package:
            found = frames.tb_frame.f_code.co_filename, frames.tb_lineno
        frames = frames.tb_next
    return found
