"""The short form of `make bench`: what it holds is equality, not speed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_one_thread_several_and_ray_give_equal_tables() -> None:
    words = [sys.executable, str(ROOT / "benchmarks" / "all.py"), "--short"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all tables are equal" in done.stdout
