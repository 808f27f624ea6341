"""Damaged tables and archives are taken or refused in a line, by every command that reads one."""

from __future__ import annotations

from pathlib import Path

import pytest
import traces

from core import event_files
from core.workload import kept_tables

SEEDS = range(100, 200)


def test_a_damaged_file_is_taken_or_refused_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_tables, "KEPT_FOLDER", tmp_path / "events")
    (tmp_path / "good").mkdir()
    monkeypatch.setattr(event_files, "FOUND_GOOD", tmp_path / "good")
    monkeypatch.setattr("sweep.cli.main.app", traces.command_line.app)
    for seed in SEEDS:
        folder = tmp_path / str(seed)
        folder.mkdir()
        try:
            traces.case(seed, folder)
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise
