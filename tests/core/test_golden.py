"""Outcomes on the shipped captures stay what they are until someone means to change them."""

from __future__ import annotations

import json
import os

import golden
import pytest


@pytest.mark.skipif("NUMBA_DISABLE_JIT" in os.environ, reason="minutes of plain Python")
def test_outcomes_are_the_golden_ones() -> None:
    assert golden.outcomes() == json.loads(golden.FILE.read_text()), "make golden renews them"
