"""The scripts of docs/cluster.md, run as they stand there, with what SLURM does played."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import small_study

ROOT = Path(__file__).parents[2]
SCRIPTS = re.findall(r"```bash\n(.*?)```", (ROOT / "docs" / "cluster.md").read_text(), re.DOTALL)
#: Commands that stand in for those of a cluster: `srun` runs what follows its own options.
PLAYED = {
    "srun": 'while [ "${1#-}" != "$1" ]; do shift; done; exec "$@"',
    "sweep": 'cd "$STUDY_FOLDER" && exec "$PYTHON" -m sweep "$@"',
    "scontrol": 'echo "$@" >> scontrol.log',
}
#: What is replaced in a script, since workers take seconds to start.
WORKERS, IN_PROCESS = '--workers "$SLURM_CPUS_PER_TASK"', "--executor in-process"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a job in the folder of a study."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, body in PLAYED.items():
        (commands / name).write_text(f"#!/bin/sh\n{body}\n")
        (commands / name).chmod(0o755)
    small_study.write_trace(tmp_path)
    small_study.write_study(tmp_path, n_trials=12).rename(tmp_path / "study.yaml")
    return os.environ | {
        "PATH": f"{commands}:{os.environ['PATH']}",
        "PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),
        "STUDY_FOLDER": str(tmp_path),
        "SLURM_CPUS_PER_TASK": "1",
        "SLURM_JOB_ID": "77",
    }


def run(script: str, folder: Path, environment: dict[str, str], **more: str) -> int:
    return subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment | more, timeout=120, check=False
    ).returncode


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_is_one_of_bash(script: str) -> None:
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_the_array_job_and_the_merge_give_the_table_of_one_run(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    (shares,) = (script for script in SCRIPTS if "--array=1-8" in script)
    (merge,) = (script for script in SCRIPTS if "sweep merge all.duckdb" in script)
    assert "\nshards=8\n" in shares
    of_two = shares.replace("\nshards=8\n", "\nshards=2\n").replace(WORKERS, IN_PROCESS)
    assert IN_PROCESS in of_two
    for index in ("1", "2"):
        assert run(of_two, tmp_path, environment, SLURM_ARRAY_TASK_ID=index) == 0
    assert run(merge, tmp_path, environment) == 0
    small_study.run(tmp_path / "study.yaml", tmp_path / "whole.duckdb")
    merged = small_study.tables(tmp_path / "all.duckdb")
    assert merged == small_study.tables(tmp_path / "whole.duckdb")
    assert not (tmp_path / "scontrol.log").exists()


def test_a_share_whose_time_is_over_is_queued_again(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    (shares,) = (script for script in SCRIPTS if "--array=1-8" in script)
    (tmp_path / "bin" / "sweep").write_text("#!/bin/sh\nexit 143\n")
    assert run(shares, tmp_path, environment, SLURM_ARRAY_TASK_ID="3") == 143
    assert (tmp_path / "scontrol.log").read_text() == "requeue 77\n"
