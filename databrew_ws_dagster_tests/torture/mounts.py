"""Small disks of the torture's own: one that fills up, one that loses power, one that turns read-only.

All take root. None touches a disk of the host.
"""

from __future__ import annotations

import fcntl
import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from databrew_ws_dagster_tests.torture.system import require, run

_SHUTDOWN = (2 << 30) | (4 << 16) | (ord("X") << 8) | 125
"""The `_IOR('X', 125, u32)` of ext4 and XFS, with which file systems are tested against power losses."""

_WITHOUT_FLUSHING = struct.pack("I", 2)


class Disk:
    """An ext4 file system in a file, mounted at `path`; it can be made to fail as real ones do.

    Raises:
        SkippedError: it cannot be mounted here.
    """

    def __init__(self, path: Path, image: Path) -> None:
        self.path = path
        self._mounting = ("mount", "-o", "loop,errors=remount-ro", str(image), str(path))
        require(*self._mounting)

    def lose_power(self) -> None:
        """Forget all that was not synced, names included: nothing is written from now on, and calls fail with EIO."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, _WITHOUT_FLUSHING)
        finally:
            os.close(descriptor)

    def turn_read_only(self) -> None:
        """Find an error in the file system, upon which the kernel refuses every write: EROFS."""
        (Path("/sys/fs/ext4") / self._device() / "trigger_fs_error").write_text("1")

    def mount_again(self) -> None:
        """What a boot does: replay the file system's journal, and mount. No process may use the disk any more."""
        run("umount", str(self.path))
        run(*self._mounting)

    def _device(self) -> str:
        lines = Path("/proc/mounts").read_text().splitlines()
        return Path(next(line.split()[0] for line in lines if line.split()[1] == str(self.path))).name


@contextmanager
def ext4_disk() -> Iterator[Disk]:
    """A disk of 512 MiB.

    Raises:
        SkippedError: it cannot be made here.
    """
    with tempfile.TemporaryDirectory(prefix="torture-") as name:
        image, path = Path(name, "image"), Path(name, "disk")
        path.mkdir()
        with image.open("wb") as file:
            file.truncate(512 << 20)
        require("mkfs.ext4", "-q", str(image))
        disk = Disk(path, image)
        try:
            yield disk
        finally:
            run("umount", "--lazy", str(path))


@contextmanager
def small_tmpfs(*, mebibytes: int) -> Iterator[Path]:
    """A disk in memory that is soon full.

    Raises:
        SkippedError: it cannot be made here.
    """
    with tempfile.TemporaryDirectory(prefix="torture-") as name:
        require("mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", name)
        try:
            yield Path(name)
        finally:
            run("umount", "--lazy", name)


def fill(file: Path) -> None:
    """Take the disk's last byte; removing the file gives all back."""
    with file.open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(1 << 20))
        except OSError:
            pass
