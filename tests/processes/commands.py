"""The command `sweep` as a user types it, in a process of its own or in this one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sweep.cli.main import main

#: Exit code, stdout and stderr of a command.
Said = tuple[int, str, str]


def start(*words: str | Path, **options: Any) -> subprocess.Popen[str]:
    """Start the real command."""
    return subprocess.Popen(
        [sys.executable, "-m", "sweep", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def say(*words: str | Path, **options: Any) -> Said:
    """Run the real command to its end."""
    process = start(*words, **options)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


class CommandInThisProcess:
    """The command without the seconds that a process takes to start."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *words: str | Path) -> Said:
        self._monkeypatch.setattr("sys.argv", ["sweep", *map(str, words)])
        with pytest.raises(SystemExit) as exited:
            main()
        said = self._capsys.readouterr()
        return int(str(exited.value.code)), said.out, said.err
