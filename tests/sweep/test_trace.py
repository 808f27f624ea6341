"""The trace commands as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import small_study
from captures import CAPTURE_PART
from commands import say


def test_an_imported_trace_can_be_looked_at_and_studied(tmp_path: Path) -> None:
    code, out, err = say(
        "trace", "import", CAPTURE_PART, "-o", tmp_path / "small.parquet", "--json"
    )
    assert code == 0, err
    assert json.loads(out)["counts"]["inserted_pages"] == 2628
    assert "warning" in err
    code, out, err = say("trace", "info", tmp_path / "small.parquet")
    assert code == 0, err
    assert "store 959" in out
    assert "read requests (recorded): 1,294" in out
    assert "rows of phases: sqlB1 2,874" in out
    assert "inferred for 95.4% of the stores; mapped to disk: unknown" in out
    path = small_study.write_study(tmp_path, n_trials=4)
    code, out, err = say("run", path, "--executor", "in-process", cwd=tmp_path)
    assert code == 0, err


def test_accesses_run_through_another_kernel(tmp_path: Path) -> None:
    events, accesses = tmp_path / "x.parquet", tmp_path / "a.parquet"
    code, _, err = say("trace", "import", CAPTURE_PART, "-o", events, "--accesses", accesses)
    assert code == 0, err
    out = tmp_path / "small.parquet"
    code, said, err = say("trace", "reclaim", accesses, "-o", out, "--memory", "1GiB", "--json")
    assert code == 0, err
    assert json.loads(said)["counts"]["evictions"] == 0
    code, said, err = say("trace", "reclaim", accesses, "-o", out, "--by", "active_inactive")
    assert code == 0, err
    assert "inserted_pages" in said
    for changed, told in (
        ("swap_sise=1MiB", "a kernel has no setting swap_sise, did you mean swap_size?"),
        ("swappiness=201", "swappiness is from 0 to 200, not 201"),
        ("zram_size=many", "zram_size: 'many' is no number of its kind"),
    ):
        code, _, err = say("trace", "reclaim", accesses, "-o", out, "--set", changed)
        assert (code, told in err) == (2, True), err
    both = ("--set", "zram_size=1MiB", "--set", "swap_size=1MiB")
    code, _, err = say("trace", "reclaim", accesses, "-o", out, *both)
    assert (code, "zram_size or swap_size" in err) == (2, True), err
    code, _, err = say("trace", "reclaim", accesses, "-o", out, "--memory", "1MiB")
    assert code == 2
    assert "not more than the" in err
    code, _, err = say("trace", "reclaim", events, "-o", out)
    assert code == 2
    assert "not an access trace" in err


def test_a_bad_trace_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    cut = tmp_path / "cut.gz"
    cut.write_bytes(CAPTURE_PART.read_bytes()[:100_000])
    empty = tmp_path / "empty.txt"
    empty.touch()
    for trace, word in ((cut, "cut off"), (empty, "is empty"), (tmp_path / "none", "No such file")):
        code, out, err = say("trace", "import", trace, "-o", tmp_path / "out.parquet")
        assert (code, out) == (2, "")
        assert word in err
        assert "Traceback" not in err
    assert not list(tmp_path.glob("out*"))
    code, _, err = say("trace", "import", CAPTURE_PART, "-o", tmp_path / "no" / "out.parquet")
    assert code == 2
    assert "there is no folder" in err
    code, _, err = say("trace", "import", CAPTURE_PART, "-o", tmp_path / "o", "--memory", "1GB")
    assert code == 2
    assert "did you mean 1GiB" in err


def test_repair_writes_a_table_that_is_good(tmp_path: Path) -> None:
    small_study.write_trace(tmp_path, 1000)
    trace, out = tmp_path / "small.parquet", tmp_path / "good.parquet"
    code, said, err = say("trace", "repair", trace, "-o", out, "--json")
    assert code == 0, err
    assert json.loads(said) == {"output": str(out), "kept": 1000, "dropped": {}}
