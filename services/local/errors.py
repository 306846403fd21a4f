"""What can stand in the way of a whole centre on one machine. Each says in one sentence what is wrong and what to do.

LocalError
+- NoNetwork         the first start needs Kafka's jars, and they cannot be had
+- JarDamaged        a jar that came is not the one in the lock
+- FolderUnusable    the cache or the data folder cannot be written
+- NotADataFolder    the folder holds something else
+- OtherVersion      the folder was written by another version of the program
+- FolderInUse       another `up` or `stack` runs on the folder
+- DiskFull          too little room to start
+- PortInUse         the port that was asked for is taken
+- KafkaNotFormatted Kafka could not lay out its folder
+- StopAsked         somebody asked to stop before everything had started"""

from pathlib import Path

from services.runtime.errors import GreenchannelError


class LocalError(GreenchannelError):
    """Every error of the embedded stack that a person can do something about."""


class NoNetwork(LocalError):
    def __init__(self, missing: int, cache: Path, cause: str) -> None:
        super().__init__(missing, cache, cause)
        self.missing, self.cache, self.cause = missing, cache, cause

    def __str__(self) -> str:
        return (
            f"{self.missing} of Kafka's jars are not on this machine yet and Maven Central cannot be reached ({self.cause}). The first start needs "
            f"the network once: connect, or set HTTPS_PROXY, and start again; or copy {self.cache} from a machine that has started before."
        )


class JarDamaged(LocalError):
    def __init__(self, name: str, found_sha256: str) -> None:
        super().__init__(name, found_sha256)
        self.name, self.found_sha256 = name, found_sha256

    def __str__(self) -> str:
        return (
            f"{self.name} came with SHA-256 {self.found_sha256[:12]}, which is not the one in the lock, and was not kept. Start again; "
            "if it stays so, something between here and Maven Central changes what it carries."
        )


class FolderUnusable(LocalError):
    def __init__(self, folder: Path, cause: str, remedy: str) -> None:
        super().__init__(folder, cause, remedy)
        self.folder, self.cause, self.remedy = folder, cause, remedy

    def __str__(self) -> str:
        return f"{self.folder} cannot be used: {self.cause}. {self.remedy}"


class NotADataFolder(LocalError):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder = folder

    def __str__(self) -> str:
        return f"{self.folder} holds other files and is not a Greenchannel data folder. Name an empty folder, or a new one, with --data."


class OtherVersion(LocalError):
    def __init__(self, folder: Path, found: str, ours: str) -> None:
        super().__init__(folder, found, ours)
        self.folder, self.found, self.ours = folder, found, ours

    def __str__(self) -> str:
        return (
            f"{self.folder} has data of format {self.found}, this program writes format {self.ours}. "
            "Start the program that wrote it, or name another folder with --data; nothing in the folder was changed."
        )


class FolderInUse(LocalError):
    def __init__(self, folder: Path, pid: str) -> None:
        super().__init__(folder, pid)
        self.folder, self.pid = folder, pid

    def __str__(self) -> str:
        return f"{self.folder} is in use by process {self.pid}. Stop that one, or name another folder with --data."


class DiskFull(LocalError):
    def __init__(self, folder: Path, free_mib: int, needed_mib: int) -> None:
        super().__init__(folder, free_mib, needed_mib)
        self.folder, self.free_mib, self.needed_mib = folder, free_mib, needed_mib

    def __str__(self) -> str:
        return (
            f"The disk of {self.folder} has {self.free_mib} MiB free, {self.needed_mib} MiB are needed. Make room, or name a folder on another disk."
        )


class PortInUse(LocalError):
    def __init__(self, port: int, wanted_for: str) -> None:
        super().__init__(port, wanted_for)
        self.port, self.wanted_for = port, wanted_for

    def __str__(self) -> str:
        return f"Port {self.port}, asked for {self.wanted_for}, is in use by another program. Stop that one, or name another port."


class KafkaNotFormatted(LocalError):
    def __init__(self, folder: Path, last_words: str) -> None:
        super().__init__(folder, last_words)
        self.folder, self.last_words = folder, last_words

    def __str__(self) -> str:
        return f"Kafka could not lay out {self.folder}: {self.last_words}"


class StopAsked(LocalError):
    def __str__(self) -> str:
        return "Stopped before everything had started."
