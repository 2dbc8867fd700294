"""Type hints that several sections of the settings share: a number together with what is allowed."""

from __future__ import annotations

from typing import Annotated

from dadc_net.schema import Range

Share = Annotated[float, Range(0, 1, "Give a number from 0 to 1.")]
StepSize = Annotated[float, Range(0, 10, "Give a number in (0, 10].", above=True)]
Weight = Annotated[float, Range(0, 1e6, "Give a number from 0 to 1e6.")]
"""Of a loss; or the largest norm of a gradient, where 0 does not clip."""
Width = Annotated[int, Range(1, 4096)]
"""Of a layer, or how many of something are drawn at once."""
Layers = Annotated[int, Range(1, 8)]
Repeats = Annotated[int, Range(1, 1000)]
Remembered = Annotated[int, Range(1, 2**32 - 1)]
"""Environment steps in a replay memory."""
