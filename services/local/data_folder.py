"""The one folder that holds all of an embedded centre: its format, who uses it, its ports, and what a kill left of its processes."""

import fcntl
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from services.local.errors import DiskFull, FolderInUse, FolderUnusable, NotADataFolder, OtherVersion, PortInUse
from services.local.ports import choose_port, is_free
from services.local.processes import boot_id, end_process, start_ticks

FORMAT = "1"
MARK = "GREENCHANNEL_DATA"
NEEDED_MIB = 256
ENDED_WITHIN_S = 10.0


class DataFolder:
    """A data folder that is this process's alone until it is closed or the process ends, in whatever way it ends."""

    def __init__(self, path: Path) -> None:
        """Make or open the folder, take it, and end what an earlier run left. Raises the errors of services.local.errors."""
        self.path = path.absolute()
        self.lock_fd = _marked(self.path)
        try:
            free_mib = shutil.disk_usage(self.path).free // 2**20
            if free_mib < NEEDED_MIB:
                raise DiskFull(self.path, free_mib, NEEDED_MIB)
            _take(self.path, self.lock_fd)
            self._end_leftovers()
            self._ports, self._settled = self._read_ports(), dict[str, int]()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def close(self) -> None:
        """Give the folder free."""
        os.close(self.lock_fd)

    def port(self, name: str, given: int | None = None) -> int:
        """Return the port for `name`: the one given, else the one of the last run, else a free one. It is remembered; ask for given ones first.

        Raises PortInUse for a given one only: one that we chose ourselves is chosen anew when somebody else has it."""
        if name in self._settled:
            return self._settled[name]
        port = given if given is not None else self._ports.get(name)
        if port is None or not is_free(port):
            if given is not None:
                raise PortInUse(given, name)
            port = choose_port(self._ports.values())
        self._settled[name] = port
        self._ports = {other: known for other, known in self._ports.items() if known != port} | {name: port}
        _write(self.path / "ports.json", self._ports)
        return port

    def remember_children(self, pids: Mapping[str, int]) -> None:
        """Write down the running children, so that the next run can end those that outlive this one."""
        children = {name: [pid, ticks] for name, pid in pids.items() if (ticks := start_ticks(pid)) is not None}
        _write(self.path / "children.json", {"boot": boot_id(), "children": children})

    def _read_ports(self) -> dict[str, int]:
        try:
            ports: dict[str, int] = json.loads((self.path / "ports.json").read_text())
        except FileNotFoundError:
            return {}
        return ports

    def _end_leftovers(self) -> None:
        try:
            left = json.loads((self.path / "children.json").read_text())
        except FileNotFoundError:
            return
        if left["boot"] != boot_id():
            return  # another boot's pids name nobody
        for name, (pid, ticks) in left["children"].items():
            if start_ticks(pid) == ticks and not end_process(pid, ENDED_WITHIN_S):
                raise FolderUnusable(self.path, f"{name} of an earlier run, process {pid}, cannot be ended", "End it, and start again.")


def _marked(folder: Path) -> int:
    """Return a descriptor of the folder's mark, which also carries the lock and the pid of who holds it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (folder / MARK).exists() and {entry.name for entry in folder.iterdir()} - {"lost+found"}:
            raise NotADataFolder(folder)
        descriptor = os.open(folder / MARK, os.O_RDWR | os.O_CREAT, 0o600)
        folder.chmod(0o700)
    except OSError as error:
        raise FolderUnusable(folder, error.strerror or str(error), "Name a folder that you can write with --data.") from None
    return descriptor


def _take(folder: Path, descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FolderInUse(folder, " ".join(_read_mark(descriptor)[1:])) from None
    written = _read_mark(descriptor)
    if written and written[0] != FORMAT:  # none: the first run was killed before it wrote
        raise OtherVersion(folder, written[0][:20], FORMAT)
    mark = f"{FORMAT} {os.getpid()}\n".encode()
    os.ftruncate(descriptor, os.pwrite(descriptor, mark, 0))
    os.fsync(descriptor)


def _read_mark(descriptor: int) -> list[str]:
    """Return format and pid, or nothing from a folder that is being made at this moment."""
    return os.pread(descriptor, 100, 0).decode(errors="replace").split()


def _write(path: Path, content: Mapping[str, object]) -> None:
    new = path.with_name(f"{path.name}.new")
    with new.open("w") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())  # or a power cut could leave the new name with nothing in it
    new.replace(path)
