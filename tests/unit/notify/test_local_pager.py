"""The local pager: each notice once, whole, and on the disk, whatever dies."""

import errno
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import pytest

from contracts.ids import CaseId, NoticeId
from services.notify.local_pager import LocalPager
from services.notify.notice import Notice
from services.runtime.errors import Away
from tests.unit.notify.pages import T0

ROOT = Path(__file__).parents[3]


def notice(number: int) -> Notice:
    return Notice(NoticeId(UUID(int=number)), CaseId(UUID(int=9)), "ann", "local", 1, "title", "RED: naïve 心梗")


def ids(path: Path) -> list[int]:
    return [UUID(json.loads(line)["notice_id"]).int for line in path.read_text().splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pager.jsonl"


def test_a_notice_is_one_line_with_what_interfaces_promise(path):
    assert LocalPager(path).append(notice(1), T0) is True
    told = json.loads(path.read_text())
    assert list(told) == ["notice_id", "case_id", "person", "method", "round", "at", "text"]
    assert told["text"] == "RED: naïve 心梗"


def test_a_notice_stands_once_however_often_and_by_whomever_it_is_appended(path):
    first, second = LocalPager(path), LocalPager(path)
    assert [first.append(notice(1), T0), first.append(notice(1), T0), second.append(notice(1), T0)] == [True, False, False]
    second.append(notice(2), T0)
    assert first.append(notice(2), T0) is False  # another process wrote it since
    assert ids(path) == [1, 2]


def test_many_at_once_tear_no_line(path):
    pagers = [LocalPager(path) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for pager in pagers:
            pool.submit(lambda pager=pager: [pager.append(notice(number), T0) for number in range(100)])
    assert sorted(ids(path)) == list(range(100))


def test_a_line_torn_by_a_crash_is_ended_and_its_notice_written_again(path):
    LocalPager(path).append(notice(1), T0)
    LocalPager(path).append(notice(2), T0)
    path.write_bytes(path.read_bytes()[:-30])
    assert LocalPager(path).append(notice(2), T0) is True
    whole, torn, again = path.read_text().splitlines()
    assert (json.loads(whole)["notice_id"], json.loads(again)["notice_id"]) == (str(UUID(int=1)), str(UUID(int=2)))
    with pytest.raises(ValueError, match="char"):
        json.loads(torn)


def test_a_file_that_was_rotated_away_is_made_anew_and_what_it_held_is_still_known(path):
    pager = LocalPager(path)
    pager.append(notice(1), T0)
    path.rename(path.with_suffix(".1"))
    assert pager.append(notice(1), T0) is False
    pager.append(notice(2), T0)
    assert ids(path) == [2]


def test_a_full_disk_is_waited_for_and_leaves_no_half_line():
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with pytest.raises(Away, match=os.strerror(errno.ENOSPC)):
        LocalPager(Path("/dev/full")).append(notice(1), T0)


def test_a_disk_that_fills_in_the_middle_of_a_line_keeps_the_lines_before_whole(path):
    """A process that may write no file beyond 300 bytes: the second line does not fit, and nothing of it stays."""
    script = (
        "import resource, signal, sys; from pathlib import Path; from tests.unit.notify.test_local_pager import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (300, resource.RLIM_INFINITY))\n"
        "pager = LocalPager(Path(sys.argv[1])); pager.append(notice(1), T0)\n"
        "try: pager.append(notice(2), T0)\n"
        "except Away: print('away')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)); pager.append(notice(2), T0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "away\n"
    assert ids(path) == [1, 2]


def test_a_pager_that_is_killed_at_any_moment_leaves_each_notice_once_after_it_starts_again(path):
    script = (
        "import sys; from pathlib import Path; from tests.unit.notify.test_local_pager import *\n"
        "pager = LocalPager(Path(sys.argv[1]))\n"
        "for number in range(1000000): pager.append(notice(number), T0); print(number, flush=True)\n"
    )
    said = -1
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", script, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True) as program:
            assert program.stdout is not None
            said = next(int(line) for line in program.stdout if int(line) >= said + 50)
            program.kill()
    found = ids(path)
    assert sorted(found) == list(range(len(found)))
    assert len(found) > said
