"""The recorder's archive: names of tasks, control groups, events, and samples of tagged pages."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from commands import say
from recorded_machine import EVENTS, make_machine


def record(folder: Path, *options: str) -> dict[str, str]:
    """Run the recorder for a second or two, and return the files of its archive."""
    say("trace", "record", "-o", folder / "record.sh")
    done = subprocess.run(
        ["sh", "record.sh", "-o", "phone", *options], cwd=folder, env=make_machine(folder),
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    texts = {}
    with tarfile.open(folder / "phone.meta.tar.gz") as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is not None:
                texts[Path(member.name).name] = file.read().decode(errors="replace")
    return texts


def test_the_recorder_samples_tagged_pages_and_import_keeps_what_they_say(tmp_path: Path) -> None:
    texts = record(tmp_path, "-t", "2", "-s", "1")
    lines = [line.split() for line in texts["samples"].splitlines()]
    names = {name for _, name, _ in lines}
    assert {"MemFree_kib", "nr_free_pages", "nr_inactive_file"} <= names
    tagged = [int(count) for _, name, count in lines if name == "tagged_pages"]
    looked_at = [int(count) for _, name, count in lines if name == "sampled_pages"]
    assert tagged
    assert set(tagged) == {100}
    assert set(looked_at) == {3048}
    trace = tmp_path / "phone.ftrace.txt.gz"
    code, out, err = say("trace", "import", trace, "-o", tmp_path / "x.parquet", "--json")
    assert code == 0, err
    # The kswapd has no name in the trace; it goes to sleep.
    assert json.loads(out)["counts"]["reclaimed_folios"] == 1
    losses = {loss["name"]: loss["count"] for loss in json.loads(out)["losses"]}
    assert losses["no_page_alloc"] == 2
    assert "reclaim_or_truncation" not in losses
    code, out, err = say("trace", "info", tmp_path / "x.parquet", "--json")
    assert code == 0, err
    sampled = json.loads(out)["sampled"]
    assert (sampled["tagged_pages_mean"], sampled["tagged_pages_peak"]) == (100, 100)
    assert sampled["sampled_pages"] == 3048
    code, out, err = say("trace", "info", tmp_path / "x.parquet")
    assert "tagged by these samples: 3.28% of the pages, 3.28% at most" in out


def test_the_recorder_keeps_names_and_tells_events_and_control_groups(tmp_path: Path) -> None:
    texts = record(tmp_path, "-t", "1", "-s", "0")
    assert "samples" not in texts
    assert texts["events"].split() == [name.partition("/")[2] for name in EVENTS]
    tracefs = tmp_path / "tracefs"
    assert (tracefs / "saved_cmdlines_size").read_text() == "128\n"
    for line in texts["cgroups"].splitlines():
        task, path = line.split(" ", 1)
        assert task.isdigit()
        assert path.startswith("/")
    own = [line for line in texts["comms"].splitlines() if line == f"{os.getpid()} {comm()}"]
    assert len(own) == 1


def comm() -> str:
    return Path("/proc/self/comm").read_text().rstrip("\n")


@pytest.mark.parametrize("every", ["x", "-1", ""])
def test_an_interval_that_is_no_number_is_refused(tmp_path: Path, every: str) -> None:
    say("trace", "record", "-o", tmp_path / "record.sh")
    done = subprocess.run(
        ["sh", tmp_path / "record.sh", "-s", every], capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 2
    assert "is not a whole number" in done.stderr


CAPTURE = "".join(
    f"            app-101   [001] .....    10.00000{number}: mm_filemap_add_to_page_cache: "
    f"dev 8:1 ino a pfn={0x10002 + number:#x} ofs={offset} order={order}\n"
    for number, (offset, order) in enumerate([(0, 0), (16384, 0), (65536, 2)], 1)
)


def test_a_page_size_is_an_option_of_captures_too(tmp_path: Path) -> None:
    trace, output = tmp_path / "x.txt", tmp_path / "x.parquet"
    trace.write_text(CAPTURE)
    options = ("--memory", "8GiB", "--page-size", "16KiB", "--json")
    code, out, err = say("trace", "import", trace, "-o", output, *options)
    assert code == 0, err
    losses = {loss["name"] for loss in json.loads(out)["losses"]}
    assert not losses & {"guessed_page_size", "guessed_memory", "misaligned_folios"}
    code, out, _ = say("trace", "info", output, "--json")
    figures = json.loads(out)
    assert (figures["page_size"], figures["data_pages"]) == (16384, 524288)
    assert figures["folio_orders"] == {"0": 2, "2": 1}
    code, out, err = say("trace", "import", trace, "-o", output, "--json")
    assert code == 0
    losses = {loss["name"] for loss in json.loads(out)["losses"]}
    assert {"guessed_page_size", "guessed_memory"} <= losses
    assert "the size of a page is a guess" in err
    code, _, err = say("trace", "info", output)
    for size, why in (("3KiB", "none of 4KiB"), ("16", "none of 4KiB"), ("x", "--page-size")):
        code, _, err = say("trace", "import", trace, "-o", output, "--page-size", size)
        assert (code, why in err) == (2, True), err
    code, _, err = say("trace", "import", trace, "-o", output, "--page-size", "64KiB")
    assert code == 0
    assert "2 folios lie at no multiple" in err
