"""What a TASK may be called, besides the path of a TOML file: the one place that finds a task by its name."""

from __future__ import annotations

from dadc_net import user_code
from dadc_net.errors import UsageError
from dadc_net.finite_files import is_model_file, load_model_task
from dadc_net.team.tasks import Task, find_task

_PETTINGZOO = "pettingzoo:"


def load_task(name: str) -> Task:
    """A built-in task by name, that of a .dpomdp file or a PettingZoo environment, or what a user's factory returns."""
    if is_model_file(name):
        return load_model_task(name)
    if ":" not in name:
        return find_task(name)
    if name.startswith(_PETTINGZOO):
        return _parallel_task(name.removeprefix(_PETTINGZOO))
    try:
        task = user_code.load(name)()
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"the task {name} cannot be loaded: {error}. It is read as package.module:factory, or as FILE.py:factory. "
            "Check that the module can be imported from here and has that function."
        ) from error
    if not isinstance(task, Task):
        raise UsageError(
            f"{name} returned a {type(task).__name__} instead of a dadc_net.team.tasks.Task. No run was started. "
            "Return a Task that says how to make the environment."
        )
    return task


def _parallel_task(name: str) -> Task:
    try:
        import gymnasium  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"pettingzoo:{name} needs the packages pettingzoo and gymnasium: {error}. No run was started. Install them: "
            "pip install 'dadc-net[pettingzoo]'"
        ) from error
    # An extra: gymnasium is not there for everybody.
    from dadc_net.team.pettingzoo.task import parallel_task

    return parallel_task(name)
