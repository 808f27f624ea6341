"""Whether a recorded device is emulated: its times are then the emulator's, not a device's."""

from __future__ import annotations

import os
import re

from core.workload.ftrace.archive import opened_archive

#: Block devices get the numbers 240 to 254 where none is reserved for them, and from 254 downwards.
#: virtio_blk has none reserved. Of the others so numbered, zram and the device mapper make no
#: requests, so none of their events are in a trace.
_UNRESERVED_MAJOR = 254
#: Files of a recording's archive that name the machine.
_OF_MACHINE = ("dmesg", "uname", "version", "cmdline", "iomem", "cpuinfo", "interrupts", "mounts")
_EMULATOR = re.compile(rb"qemu|virtio", re.IGNORECASE)


def emulation_shown(device: int, meta: str | os.PathLike[str] | None) -> str | None:
    """Return what shows that a device is emulated; None if nothing does.

    That is its major number, if that is 254, the one that virtio_blk gets; or a file of the
    archive that names QEMU or virtio. A device of which neither is true may still be emulated.

    Parameters
    ----------
    device
        The device's number, ``major << 20 | minor``.
    meta
        The archive of the recording, if there is one.

    Raises
    ------
    TraceError
        When the archive cannot be read.
    """
    if meta is not None:
        name = os.fspath(meta)
        with opened_archive(name) as archive:
            for member in archive:
                base = os.path.basename(member.name).partition(".")[0]
                file = archive.extractfile(member) if member.isfile() else None
                if base not in _OF_MACHINE or file is None:
                    continue
                word = _EMULATOR.search(file.read())
                if word is not None:
                    return f"{member.name} in {os.path.basename(name)} names {word[0].decode()}"
    if device >> 20 == _UNRESERVED_MAJOR:
        return f"major number {_UNRESERVED_MAJOR}, which virtio_blk gets"
    return None
