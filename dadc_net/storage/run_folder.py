"""Names in the folder of a run and in the folders of its parties."""

from __future__ import annotations

STOPPED_FILE = "stopped.arrays"
"""What an agent leaves beside its journal when a divergence stops the run: its learner, for whoever wants to see why."""
