"""The embedded broker: one node of Apache Kafka in KRaft mode, which has a record on the disk before it acknowledges it."""

import base64
import os
import shutil
import socket
import struct
import uuid
from pathlib import Path

from services.local.errors import KafkaNotFormatted
from services.local.java import KafkaClasses, java_environment
from services.local.last_words import last_words
from services.local.ports import HOST
from services.local.spawn import spawn_program

# Paths are relative to the broker's folder: a data folder may be moved, and have a name in any script.
PROPERTIES = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.voters=1@{host}:{controller_port}
log.dirs={log_folder}
# On the disk before it is acknowledged, and little to read again after a kill.
log.flush.interval.messages=1
log.flush.offset.checkpoint.interval.ms=10000
log.segment.bytes=67108864
log.index.size.max.bytes=1048576
metadata.log.segment.bytes=16777216
num.recovery.threads.per.data.dir=2
# One node has nobody to copy to.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
offsets.topic.segment.bytes=16777216
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
# After a kill the controller waits until the session of the killed broker has run out: 9 s by default.
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=400
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
message.max.bytes=2097152
# A small machine, and quiet when idle.
num.network.threads=2
num.io.threads=4
background.threads=2
log.cleaner.dedupe.buffer.size=4194304
metadata.max.idle.interval.ms=0
"""

LOGGING = """\
status=error
appender.file.type=RollingFile
appender.file.name=file
appender.file.fileName=logs/server.log
appender.file.filePattern=logs/server.log.%i
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=%d{ISO8601} %p %m (%c)%n
appender.file.policies.type=SizeBasedTriggeringPolicy
appender.file.policies.size=4MB
appender.file.strategy.type=DefaultRolloverStrategy
appender.file.strategy.max=3
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{ISO8601} %p %m%n
rootLogger.level=INFO
rootLogger.appenderRef.file.ref=file
rootLogger.appenderRef.console.ref=console
rootLogger.appenderRef.console.level=ERROR
"""

BROKER = ("kafka.Kafka", "server.properties")
_API_VERSIONS = struct.pack(">hhih", 18, 0, 1, -1)  # key, version, correlation id, no client id


def lay_out_kafka(folder: Path, classes: KafkaClasses, *, port: int, controller_port: int) -> None:
    """Write the broker's settings and, on first use, format its log folder. Raises KafkaNotFormatted.

    Formatting happens aside and is taken over by a rename: one that was interrupted is done again."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "log4j2.properties").write_text(LOGGING)
    ports = {"host": HOST, "port": port, "controller_port": controller_port}
    (folder / "server.properties").write_text(PROPERTIES.format(log_folder="data", **ports))
    if (folder / "data").exists():
        return
    shutil.rmtree(folder / "data.new", ignore_errors=True)
    (folder / "format.properties").write_text(PROPERTIES.format(log_folder="data.new", **ports))
    log = folder / "logs" / "format.log"
    command = classes.command("kafka.tools.StorageTool", "format", "-t", _cluster_id(), "-c", "format.properties")
    pid = spawn_program(command, log=log, folder=folder, env=java_environment())
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0:
        raise KafkaNotFormatted(folder, last_words(log))
    (folder / "data.new").rename(folder / "data")


def kafka_answers(port: int) -> bool:
    """Return whether the broker serves requests. It takes none before it has caught up with its metadata and is unfenced."""
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            connection.sendall(struct.pack(">i", len(_API_VERSIONS)) + _API_VERSIONS)
            answer = connection.recv(10, socket.MSG_WAITALL)
    except OSError:
        return False
    return len(answer) == 10 and struct.unpack(">iih", answer)[1:] == (1, 0)  # length, then our correlation id and no error


def _cluster_id() -> str:
    """Return a random id as Kafka writes them; 'A' before it: one that begins with '-' would be taken for an option."""
    return "A" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]
