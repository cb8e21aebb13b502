"""The disk reserve: space that capture leaves free, so that it stops reading before the disk is full.

Other programs, and the very commit that would free space, need it.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class DiskReserve:
    """Whichever is more of a number of bytes and a share of the disk."""

    byte_size: int = 256 * 1024 * 1024
    share: float = 0.02

    def shortage(self, folder: Path) -> str | None:
        """What is wrong in words, if the disk of `folder` has less free than the reserve; else `None`."""
        usage = shutil.disk_usage(folder)
        reserve = max(self.byte_size, int(usage.total * self.share))
        if usage.free >= reserve:
            return None
        return (
            f"the disk of {folder} has {usage.free >> 20} MiB free, less than its reserve of "
            f"{reserve >> 20} MiB: not reading until there is more"
        )
