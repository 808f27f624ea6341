"""What the recorder reads of a kernel's types: only what they tell, and only if they are whole."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from kernel_types import FOUND, types_of_a_kernel

SCRIPT = Path(__file__).parents[2] / "sweep" / "cli" / "record_types.sh"
OF_THIS_KERNEL = Path("/sys/kernel/btf/vmlinux")


def found_in(btf: Path) -> set[str]:
    script = f'. "{SCRIPT}"; kernel_types "$1"'
    done = subprocess.run(
        ["sh", "-u", "-c", script, "sh", btf], capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("changed", "lost"),
    [
        ({}, ""),
        ({"index_size": 4}, "folio.index=40"),
        ({"index_bits": 32}, "folio.index=40"),
        ({"host": "super_block"}, "address_space.host=16"),
        ({"second_inode": 72}, "inode.i_ino=64"),
        ({"with_device": False}, "super_block.s_dev=20"),
    ],
)
def test_a_member_is_found_if_it_is_what_a_probe_reads(
    tmp_path: Path, changed: dict[str, Any], lost: str
) -> None:
    (tmp_path / "btf").write_bytes(types_of_a_kernel(**changed).file())
    assert found_in(tmp_path / "btf") == FOUND - {lost}


def test_of_types_that_are_not_the_whole_kernels_nothing_is_read(tmp_path: Path) -> None:
    whole = types_of_a_kernel().file()
    names = whole.index(b"\0double\0")
    damaged = {
        "cut off": whole[:-1],
        "cut off in the types": whole[:200],
        "a head alone": whole[:24],
        "of another byte order": types_of_a_kernel().file(">"),
        "of a module": whole[:names] + b"x" + whole[names + 1 :],
        "of another version": whole[:2] + b"\2" + whole[3:],
        "of an unknown kind": whole[:31] + b"\x1f" + whole[32:],
        "no BTF": b"#!/bin/sh\n" * 100,
        "empty": b"",
    }
    for content in damaged.values():
        (tmp_path / "btf").write_bytes(content)
        assert found_in(tmp_path / "btf") == set()
    assert found_in(tmp_path / "nowhere") == set()


@pytest.mark.skipif(not os.access(OF_THIS_KERNEL, os.R_OK), reason="a kernel without BTF")
def test_the_types_of_the_kernel_that_runs_are_read() -> None:
    found = found_in(OF_THIS_KERNEL)
    assert {name.partition("=")[0] for name in found} >= {"inode.i_ino", "inode.i_sb"}
