"""No log line holds what a library's error or message quotes: it may be a patient's name."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

NAME = "Li Si"
HEAD = "import asyncio, gc, logging, sys\nfrom services.runtime.logs import set_up_logs\nset_up_logs('test')\nlog = logging.getLogger('library')\n"


def logged(code: str) -> tuple[str, list[dict[str, object]]]:
    """Run code in a process of its own and return what it wrote, and its log lines."""
    done = subprocess.run([sys.executable, "-c", HEAD + code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    return done.stderr, [json.loads(line) for line in done.stderr.splitlines()]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_task_whose_error_nobody_looked_at_is_logged_with_type_and_place_and_without_its_text(loop: str) -> None:
    said, [line] = logged(f"""
import {loop}
async def read():
    raise ValueError({NAME!r})
async def main():
    task = asyncio.create_task(read(), name={NAME!r})
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task
    gc.collect()
{loop}.run(main())
""")
    assert NAME not in said
    assert line["message"] == "Task exception was never retrieved"
    assert line["error"] == "ValueError"
    assert str(line["stack"]).count("read") == 1
    assert line["logger"] == "asyncio"


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_callback_that_failed_is_logged_without_what_it_was_called_with(loop: str) -> None:
    said, [line] = logged(f"""
import {loop}
def fall(name):
    raise ValueError(name)
async def main():
    asyncio.get_running_loop().call_soon(fall, {NAME!r})
    await asyncio.sleep(0.01)
{loop}.run(main())
""")
    assert NAME not in said
    assert (line["message"], line["error"]) == ("Exception in callback", "ValueError")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param("log.error('no element in %s: %s', NAME, ValueError(NAME))", "no element in …: ValueError", id="arguments"),
        pytest.param("log.error('node %d after %.1f s', 3, 0.5)", "node 3 after 0.5 s", id="numbers"),
        pytest.param("log.error('of %(who)s', {'who': NAME})", "of …", id="named arguments"),
        pytest.param("log.error(ValueError(NAME))", "ValueError", id="an error as the message"),
        pytest.param("log.error(f'bad value {NAME}')", "…", id="put together before"),
        pytest.param("log.error('%d of them', NAME)", "%d of them", id="arguments that do not fit"),
    ],
)
def test_a_librarys_sentence_is_kept_and_what_was_put_into_it_is_not(call: str, message: str) -> None:
    said, [line] = logged(f"NAME = {NAME!r}\n{call}\n")
    assert NAME not in said
    assert line["message"] == message
    assert line["level"] == "error"
    assert "place" in line


def test_a_fixed_sentence_of_a_library_is_shown_and_where_it_stands(tmp_path: Path) -> None:
    source = "import logging\nlog = logging.getLogger(__name__)\ndef work(name):\n    log.error('Cannot go on\\n')\n    log.error(f'No {name}')\n"
    (tmp_path / "library.py").write_text(source)
    said, [fixed, made] = logged(f"sys.path.insert(0, {str(tmp_path)!r})\nimport library\nlibrary.work({NAME!r})\n")
    assert NAME not in said
    assert (fixed["message"], made["message"]) == ("Cannot go on", "…")
    assert str(fixed["place"]).endswith("library.py:4 work")


def test_our_own_entry_says_where_an_error_came_from_and_not_what_it_quotes() -> None:
    said, [line] = logged(f"""
import structlog
try:
    exec(compile("raise ValueError({NAME!r})", "<made>", "exec"))
except ValueError:
    structlog.get_logger().exception("upload failed", upload_id="u")
""")
    assert NAME not in said
    assert (line["message"], line["error"], line["upload_id"]) == ("upload failed", "ValueError", "u")
    assert "<made>:1" in str(line["stack"])
