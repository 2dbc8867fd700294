"""A user's own code by name: ``package.module:attribute``, or ``FILE.py:attribute`` for a file that is in no package.

A file is loaded once per process and place, under a name made of its path, so that what it defines is found again by that
name. Nothing here is called for a name that came over the network.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from dadc_net.exact.digest import digest

PETTINGZOO = "pettingzoo:"
"""What a TASK begins with that is a PettingZoo environment."""
_ENDING = ".py"


def is_file_name(name: str) -> bool:
    """Whether ``name`` says ``FILE.py:attribute``."""
    return name.rpartition(":")[0].endswith(_ENDING)


def absolute(name: str) -> str:
    """``FILE.py:attribute`` with the whole path: a run is taken up again from wherever one stands. Others as they are."""
    kind = PETTINGZOO if name.startswith(PETTINGZOO) else ""
    path, _, attribute = name.removeprefix(kind).rpartition(":")
    return f"{kind}{Path(path).absolute()}:{attribute}" if is_file_name(name) else name


def load(name: str) -> Any:
    """What ``name`` names.

    Raises:
        ImportError: if the module cannot be imported, the file cannot be read, or its own code fails.
        AttributeError: if it has no such attribute.
    """
    where, _, attribute = name.rpartition(":")
    module = _load_file(Path(where).absolute()) if is_file_name(name) else importlib.import_module(where)
    return getattr(module, attribute)


def _module_name(path: Path) -> str:
    return f"{path.stem}_{digest(str(path).encode('utf-8')).hex()[:12]}"


def _load_file(path: Path) -> ModuleType:
    name = _module_name(path)
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ImportError(f"there is no file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # Dataclasses look their own module up.
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, Exception):
            raise ImportError(f"{path} raised {type(error).__name__}: {error}") from error
        raise
    return module


def name_of(kind: type[Any]) -> str:
    """How ``load`` finds a class again, also in another process of this host."""
    module = sys.modules[kind.__module__]
    path = getattr(module, "__file__", None)
    from_file = path is not None and kind.__module__ == _module_name(Path(path))
    return f"{path if from_file else kind.__module__}:{kind.__qualname__}"
