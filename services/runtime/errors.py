"""The errors that services raise on purpose.

GreenchannelError
+- Away                something that we stand on cannot be reached: wait and try again, without end
|  +- NotLoaded        it can be reached, and nobody has put anything there yet
|  +- NotFolded        it can be reached, and it is not known that what lies there is all that the log says
+- BlobMissing         the blob store is there, the blob is not
+- BlobDamaged         the blob's bytes are not those that were stored
+- ConfigurationError  a setting or a file that people write is wrong: the sentence says which and what to do

The fields of an error are its args, so that it can cross a process border."""

from pathlib import Path


class GreenchannelError(Exception):
    """Every error of ours that a caller may want to know apart."""


class Away(GreenchannelError):
    """Kafka, Redis or the blob store cannot be reached, or cannot take anything just now."""

    def __init__(self, what: str, cause: str) -> None:
        super().__init__(what, cause)
        self.what, self.cause = what, cause

    def __str__(self) -> str:
        return f"{self.what} is away: {self.cause}"


class NotLoaded(Away):
    """What people have to load first; who waits for it goes on once they have. args: what it is, and by which command."""

    def __str__(self) -> str:
        return f"{self.what}: nothing is loaded yet: {self.cause}"


class NotFolded(Away):
    """What lies there is being read again from the log: what is not found may be there all the same."""


class BlobMissing(GreenchannelError):
    def __init__(self, dataref: str) -> None:
        super().__init__(dataref)
        self.dataref = dataref

    def __str__(self) -> str:
        return f"blob {self.dataref} is not in the store; asking again cannot help"


class BlobDamaged(GreenchannelError):
    def __init__(self, dataref: str, found_sha256: str) -> None:
        super().__init__(dataref, found_sha256)
        self.dataref, self.found_sha256 = dataref, found_sha256

    def __str__(self) -> str:
        return f"blob {self.dataref} holds bytes of SHA-256 {self.found_sha256[:12]}; asking again cannot help"


class ConfigurationError(GreenchannelError):
    def __init__(self, where: str | Path, wrong: str) -> None:
        super().__init__(str(where), wrong)
        self.where, self.wrong = str(where), wrong

    def __str__(self) -> str:
        return f"{self.where}: {self.wrong}"


def in_words(error: BaseException) -> str:
    """Return what may be said of an error outside: our own sentences; of others' only the kind, for theirs may quote what they were given."""
    return f"{error}"[:300] if isinstance(error, GreenchannelError) else type(error).__name__
