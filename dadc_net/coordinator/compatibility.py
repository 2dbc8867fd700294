"""What an algorithm demands of the other settings: checked with them, before any process starts or a folder is made."""

from __future__ import annotations

from dadc_net.coordinator.settings.ais import AisSettings
from dadc_net.errors import ConfigError

_MOST_DIMENSIONS = 8
"""Of theta whose corners are looked at one by one."""
_THETAS = {"q-actor-critic": ("menu",), "ais-planning": ("menu",), "naf-dqn": ("box",)}


def kinds_of_theta(algorithm: str) -> tuple[str, ...]:
    """Kinds of prescription parameters that ``algorithm`` can learn: menu, box, or both."""
    return _THETAS.get(algorithm, ("menu", "box"))


def check_compatibility(algorithm: str, menu_entries: int, corner_dimensions: int, ais: AisSettings) -> None:
    """Raise ConfigError for prescriptions or a state approximator that the algorithm cannot learn with.

    Args:
        menu_entries: M, entries of the prescription menu; 0 where theta is continuous.
        corner_dimensions: D, dimensions of theta where only the corners of its box are played; 0 elsewhere.
    """
    is_menu = menu_entries > 0
    if ("menu" if is_menu else "box") not in kinds_of_theta(algorithm):
        kind, wanted = ("a menu", "continuous ones") if is_menu else ("continuous", "a menu")
        raise ConfigError(
            f"the prescriptions are {kind}, but the algorithm {algorithm} can learn {wanted} only. They come from the key "
            "prescriptions. Choose other prescriptions, or another algorithm."
        )
    if corner_dimensions > _MOST_DIMENSIONS:
        raise ConfigError(
            f"naf.plays is 'corners', but theta has {corner_dimensions} dimensions, and the critic is asked at "
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
