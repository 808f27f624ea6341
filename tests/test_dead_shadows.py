"""The rule by which the kernel loses shadows, as benchmarks/dead_shadows.py replays it."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "benchmarks" / "dead_shadows.py"


@pytest.fixture
def shrinker() -> Any:
    return runpy.run_path(str(SCRIPT))["Shrinker"]()


def read_and_evict(shrinker: Any, inode: bytes, pages: int = 1) -> tuple[bytes, bytes]:
    file = (b"254:0", inode)
    shrinker.look_up(file, again=False)
    shrinker.insert(file, 0, pages)
    shrinker.evict(file, pages)
    return file


def test_a_lone_shadow_dies_when_the_shrinker_came_for_its_dentry_and_then_its_inode(
    shrinker: Any,
) -> None:
    file = read_and_evict(shrinker, b"a")
    other = read_and_evict(shrinker, b"b")
    # 2 objects of 2: 2 * 2 // 3 = 1 dentry, the oldest.
    shrinker._scan(2)
    assert list(shrinker.dentries) == [other]
    assert list(shrinker.inodes) == [file]
    assert not shrinker.dead
    # 3 objects of 2, one of each kind.
    shrinker._scan(3)
    assert shrinker.dead == {file}


def test_a_file_that_is_looked_up_again_keeps_its_dentry_for_one_round(shrinker: Any) -> None:
    file = read_and_evict(shrinker, b"a")
    shrinker.look_up(file, again=False)
    shrinker._scan(2)
    assert list(shrinker.dentries) == [file]
    shrinker._scan(2)
    assert list(shrinker.inodes) == [file]


def test_a_file_of_more_pages_keeps_its_shadows(shrinker: Any) -> None:
    read_and_evict(shrinker, b"a", pages=2)
    for _ in range(4):
        shrinker._scan(1024)
    assert not shrinker.dentries
    assert not shrinker.inodes
    assert not shrinker.dead


def test_a_page_in_memory_keeps_the_inode_until_it_is_evicted(shrinker: Any) -> None:
    file = (b"254:0", b"a")
    shrinker.look_up(file, again=False)
    shrinker.insert(file, 0, 1)
    shrinker._scan(2)
    assert not shrinker.dentries
    assert not shrinker.inodes
    shrinker.evict(file, 1)
    assert list(shrinker.inodes) == [file]


def test_what_is_less_than_a_batch_is_deferred(shrinker: Any) -> None:
    for inode in range(4096):
        read_and_evict(shrinker, b"%d" % inode)
    # 4096 >> 3, counted double: 1,024 objects make a batch, 1,023 dentries of it.
    shrinker.shrink(3)
    assert len(shrinker.inodes) == 1023
    assert shrinker.deferred == 0
    # 4096 >> 4, counted double, is 512 and no batch; 512 >> 4 are added at the next pass.
    shrinker.shrink(4)
    shrinker.shrink(4)
    assert len(shrinker.inodes) == 1023
    assert shrinker.deferred == 1024


def test_at_the_first_priority_of_kswapd_fewer_than_16384_objects_are_never_scanned(
    shrinker: Any,
) -> None:
    for inode in range(16383):
        read_and_evict(shrinker, b"%d" % inode)
    for _ in range(200):
        shrinker.shrink(6)
    assert not shrinker.inodes
    read_and_evict(shrinker, b"one more")
    for _ in range(2):
        shrinker.shrink(6)
    assert shrinker.inodes


def test_a_page_that_comes_back_without_a_refault_has_lost_its_shadow(tmp_path: Path) -> None:
    def line(task: str, at: int, event: str) -> str:
        return f" {task} [000] ..... 1.{at:06d}: {event}\n"

    def folio(event: str, inode: str, page: int) -> str:
        offset = page * 4096
        return f"mm_filemap_{event}_page_cache: dev 254:0 ino {inode} pfn=0x1 ofs={offset} order=0"

    text = "# tracer: nop\n"
    pages = [("a", 0), ("b", 0), ("c", 0), ("c", 1)]
    for at, (inode, page) in enumerate(pages):
        text += line("cat-7", at, folio("add_to", inode, page))
    text += line("kswapd0-42", 10, "mm_vmscan_kswapd_wake: nid=0 order=0")
    for at, (inode, page) in enumerate(pages):
        text += line("kswapd0-42", 11 + at, folio("delete_from", inode, page))
    shrunk = "mm_vmscan_lru_shrink_inactive: nid=0 nr_scanned=4 nr_reclaimed=4 priority=6"
    text += line("kswapd0-42", 20, shrunk)
    text += line("kswapd0-42", 21, "mm_vmscan_kswapd_sleep: nid=0")
    # a has lost its shadow, b has it, and c, of two pages, has one of two.
    refaults = {("b", 0): 11, ("c", 1): 12}
    for at, (inode, page) in enumerate(pages):
        text += line("cat-7", 30 + 2 * at, folio("add_to", inode, page))
        if (inode, page) in refaults:
            number = refaults[inode, page]
            event = f"workingset_refault: folio=0x1 shadow=0x1 index={page} ino={number}"
            text += line("cat-7", 31 + 2 * at, event)
    trace = tmp_path / "small.ftrace.txt"
    trace.write_text(text)
    done = subprocess.run([sys.executable, SCRIPT, trace], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    row = [cell.strip() for cell in done.stdout.splitlines()[-1].strip("|").split("|")]
    assert row[:5] == ["`small`", "4", "2", "2", "1"]
    assert row[7:] == ["1", "4", "", "6"]
