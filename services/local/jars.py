"""Kafka's own jars: fetched once from Maven Central by jgo, checked against kafka.lock, kept in a cache that all data folders share."""

import errno
import fcntl
import hashlib
import os
import shutil
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from services.local.errors import DiskFull, FolderUnusable, JarDamaged, NoNetwork

LOCK = Path(__file__).with_name("kafka.lock")
NEEDED_MIB = 200  # 45 MiB of jars, 65 MiB of archive, and what is half done
AT_ONCE = 4
TRIES = 2

Progress = Callable[[str, int, int], None]
"""Is told what is being done, how far it is and of how much; of 0 when that is not known. It may raise to stop the work."""


@dataclass(frozen=True)
class Jar:
    group: str
    artifact: str
    version: str
    sha256: str
    size_bytes: int

    @property
    def name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def locked_jars() -> tuple[Jar, ...]:
    lines = (line.replace(":", " ").split() for line in LOCK.read_text().splitlines())
    return tuple(Jar(group, artifact, version, sha256, int(size)) for sha256, size, group, artifact, version in lines)


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Return GREENCHANNEL_CACHE, else greenchannel in XDG_CACHE_HOME, else in .cache of the home."""
    if named := environ.get("GREENCHANNEL_CACHE"):
        return Path(named).absolute()
    base = Path(environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "greenchannel"


def kafka_folder(cache: Path) -> Path:
    """Return where the jars of this lock lie, so that two versions of the program never share them."""
    return cache / f"kafka-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"


def class_path(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(folder / jar.name for jar in locked_jars()))


def missing_jars(folder: Path) -> list[Jar]:
    """Return the jars that are not there. Whole ones only get there by a rename, so the size is enough to know one."""
    return [jar for jar in locked_jars() if _size(folder / jar.name) != jar.size_bytes]


@contextmanager
def cache_lock(cache: Path, progress: Progress) -> Iterator[None]:
    """Hold the cache for this process; another one that starts at the same time waits here, and then finds the work done.

    Raises FolderUnusable and DiskFull."""
    try:
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(cache / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise FolderUnusable(cache, error.strerror or str(error), "Name a folder that can be written in GREENCHANNEL_CACHE.") from None
    try:
        while not _locked(descriptor):
            progress("another start is preparing Kafka", 0, 0)
            time.sleep(0.1)
        free_mib = shutil.disk_usage(cache).free // 2**20
        if free_mib < NEEDED_MIB:
            raise DiskFull(cache, free_mib, NEEDED_MIB)
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise DiskFull(cache, shutil.disk_usage(cache).free // 2**20, NEEDED_MIB) from None
    finally:
        os.close(descriptor)


def fetch_jars(folder: Path, progress: Progress) -> None:
    """Fetch what is missing; the caller holds cache_lock. Raises NoNetwork and JarDamaged; what came before that stays."""
    missing = missing_jars(folder)
    if not missing:
        return
    staging = folder / "staging"
    shutil.rmtree(staging, ignore_errors=True)  # what an interrupted start left
    staging.mkdir(mode=0o700, parents=True)
    with _trust_of_this_machine():
        _fetch_all(missing, folder, staging, progress)


def _fetch_all(missing: list[Jar], folder: Path, staging: Path, progress: Progress) -> None:
    total = sum(jar.size_bytes for jar in missing)
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        coming = {pool.submit(_fetch, jar, folder, staging / jar.artifact) for jar in missing}
        while coming:
            done, coming = wait(coming, timeout=0.1)
            progress("downloading Kafka", sum(_bytes_here(jar, folder, staging) for jar in missing), total)
            _raise_first(done, folder)
    finally:
        pool.shutdown(cancel_futures=True)  # waits for its threads: a process that will fork may have none
        shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def _trust_of_this_machine() -> Iterator[None]:
    """Let requests trust what this machine trusts, where it has such a list: by itself it knows only its own, and not a hospital's own proxy."""
    paths, name = ssl.get_default_verify_paths(), "REQUESTS_CA_BUNDLE"
    hashed = paths.capath if paths.capath and any(Path(paths.capath).glob("*.0")) else None
    if {name, "CURL_CA_BUNDLE"} & set(os.environ) or not (trusted := paths.cafile or hashed):
        yield
        return
    os.environ[name] = trusted
    try:
        yield
    finally:
        del os.environ[name]


def _raise_first(done: set[Future[None]], folder: Path) -> None:
    from requests import RequestException  # noqa: PLC0415 - only a first start needs it, and every service would carry it from then on

    try:
        for future in done:
            future.result()
    except (RequestException, RuntimeError) as error:  # RuntimeError is jgo's for "not in the repository"
        raise NoNetwork(len(missing_jars(folder)), folder.parent, type(error).__name__) from error


def _fetch(jar: Jar, folder: Path, staging: Path) -> None:
    from jgo.maven import MavenContext  # noqa: PLC0415 - as above
    from requests import RequestException  # noqa: PLC0415 - as above

    for attempt in range(1, TRIES + 1):
        maven = MavenContext(repo_cache=staging, local_repos=[])  # neither this machine's Maven settings nor its repository count
        try:
            came = maven.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
            _keep(jar, came, folder / jar.name)
        except (RequestException, JarDamaged):
            shutil.rmtree(staging, ignore_errors=True)
            if attempt == TRIES:
                raise
        else:
            return


def _keep(jar: Jar, came: Path, kept: Path) -> None:
    with came.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != jar.sha256:
            raise JarDamaged(jar.name, found)
        os.fsync(file.fileno())
    came.replace(kept)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


def _bytes_here(jar: Jar, folder: Path, staging: Path) -> int:
    coming = staging / jar.artifact / jar.group.replace(".", "/") / jar.artifact / jar.version / jar.name
    return max(_size(folder / jar.name), _size(coming), 0)
