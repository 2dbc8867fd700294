"""Property tests of this folder always draw the same examples and never fail for being slow."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("project", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("project")
