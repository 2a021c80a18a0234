"""On what kind of file system something lies (PURE: the kernel's table of mounts in, a name out)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["file_system", "is_network"]

_NETWORK = re.compile(
    r"9p|acfs|afs|beegfs|ceph|cifs|coda|davfs|fuse(\..*)?|gfs2?|glusterfs|gpfs|lustre|ncpfs|nfs4?|ocfs2|orangefs|pvfs2"
    r"|smb3|smbfs|wekafs"
)
_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mount:
    device: str
    point: str
    kind: str

    def covers(self, path: str) -> bool:
        return self.point in {"/", path} or path.startswith(f"{self.point}/")


def is_network(kind: str) -> bool:
    """Whether other machines may have the same files: their `flock` may not be the one that our processes see."""
    return _NETWORK.fullmatch(kind) is not None


def file_system(mounts: str, *, path: str, device: int) -> str | None:
    """The kind of file system that `path` lies on, such as ``tmpfs``.

    Args:
        mounts: The text of ``/proc/self/mountinfo``; may be empty.
        path: Absolute, without symbolic links.
        device: Its ``st_dev``; some file systems, btrfs for one, show another number there than in the table, and then
            the mount point nearest to the path decides.

    Returns:
        None if the table does not say.
    """
    known = list(_parsed(mounts))
    wanted = f"{os.major(device)}:{os.minor(device)}"
    found = [mount for mount in known if mount.device == wanted] or [mount for mount in known if mount.covers(path)]
    # Of those at one point the last hides the others.
    return max(reversed(found), key=lambda mount: len(mount.point)).kind if found else None


def _parsed(mounts: str) -> Iterator[_Mount]:
    for line in mounts.splitlines():
        # 36 35 98:0 /root /mount/point rw,noatime shared:1 - ext4 /dev/root rw    (proc_pid_mountinfo(5))
        where, _, what = line.partition(" - ")
        match where.split(" "), what.split(" "):
            case [_, _, device, _, point, *_], [kind, *_]:
                point = _ESCAPED.sub(lambda escaped: chr(int(escaped[1], 8)), point)
                yield _Mount(device=device, point=point, kind=kind)
            case _:  # no line of this form: says nothing
                continue
