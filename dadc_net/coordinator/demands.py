"""What an algorithm demands of the other settings: checked with them, before any process starts or a folder is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dadc_net.errors import ConfigError

if TYPE_CHECKING:
    from dadc_net.coordinator.settings import CoordinatorSettings

_MOST_DIMENSIONS = 8
"""Of theta whose corners are looked at one by one."""
_THETAS = {"q-actor-critic": ("menu",), "ais-planning": ("menu",), "naf-dqn": ("box",)}


def thetas(algorithm: str) -> tuple[str, ...]:
    """Kinds of prescription parameters that ``algorithm`` can learn: menu, box, or both."""
    return _THETAS.get(algorithm, ("menu", "box"))


def check_demands(settings: CoordinatorSettings) -> None:
    """Raise ConfigError for prescriptions or a state approximator that the algorithm cannot learn with."""
    algorithm, ais = settings.algorithm, settings.ais
    is_menu = settings.num_prescriptions > 0
    if ("menu" if is_menu else "box") not in thetas(algorithm):
        kind, wanted = ("a menu", "continuous ones") if is_menu else ("continuous", "a menu")
        raise ConfigError(
            f"the prescriptions are {kind}, but the algorithm {algorithm} can learn {wanted} only. They come from the key "
            "prescriptions. Choose other prescriptions, or another algorithm."
        )
    if settings.plays_corners and settings.theta_dimensions > _MOST_DIMENSIONS:
        raise ConfigError(
            f"naf.plays is 'corners', but theta has {settings.theta_dimensions} dimensions, and the critic is asked at "
            f"every corner of its box: {_MOST_DIMENSIONS} dimensions are the most. "
            'Set naf.plays = "peak", or choose other prescriptions.'
        )
    if algorithm == "ais-planning" and ais.encoder == "none":
        raise ConfigError(
            "ais.encoder is 'none', but the algorithm ais-planning looks ahead with a learned state approximator. There "
            'would be none. Set ais.encoder = "gru".'
        )
    if algorithm == "ais-planning" and ais.loss != "next-observation":
        raise ConfigError(
            f"ais.loss is {ais.loss!r}, but the algorithm ais-planning looks ahead over next common observations, which "
            'only next-observation predicts. Nothing was started. Set ais.loss = "next-observation".'
        )
