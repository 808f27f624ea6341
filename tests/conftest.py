"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from captures import TRACES
from hypothesis import settings

# Seeds are fixed where tests must say the same every day; locally, search on.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "explore")


@pytest.fixture(scope="session")
def traces() -> Path:
    """Return the folder of the captures that come with the project."""
    return TRACES
