"""An archive of Kafka's classes, read and linked beforehand: made once for each cache, it halves the time and work of every later start."""

import os
import shutil
import signal
import time

from services.local.jars import Progress
from services.local.java import KafkaClasses, java_environment
from services.local.kafka import BROKER, kafka_answers, lay_out_kafka
from services.local.ports import choose_port
from services.local.processes import end_process
from services.local.spawn import spawn_program

LIMIT_S = 120


def make_archive(classes: KafkaClasses, progress: Progress) -> None:
    """Run a broker in a folder of its own until it serves, and let Java write down what it loaded. The caller holds cache_lock.

    Where that does not work, an empty file keeps the next start from trying again: Kafka runs without an archive too."""
    folder = classes.folder / "rehearsal"
    shutil.rmtree(folder, ignore_errors=True)
    port = choose_port(())
    lay_out_kafka(folder, classes, port=port, controller_port=choose_port({port}))
    made = folder / "made.aot"
    command = classes.command(*BROKER, options=[f"-XX:AOTCacheOutput={made}"])
    pid = spawn_program(command, log=folder / "logs" / "console.log", folder=folder, env=java_environment())
    ended = False
    try:
        ended = _rehearse(pid, port, progress)
    finally:
        if not ended:
            end_process(pid, LIMIT_S)
            os.waitpid(pid, 0)
    made.touch()
    made.replace(classes.archive)
    shutil.rmtree(folder, ignore_errors=True)


def _rehearse(pid: int, port: int, progress: Progress) -> bool:
    """Return whether the broker served and ended by itself."""
    asked, until = False, time.monotonic() + LIMIT_S
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        if time.monotonic() > until:
            return False
        progress("preparing Kafka for quick starts (only once)", 0, 0)
        if not asked and kafka_answers(port):
            os.kill(pid, signal.SIGTERM)  # Java writes the archive as it ends
            asked = True
        time.sleep(0.1)
    return True
