"""How every service listens to Kafka: the settings by which a message is not lost."""

from faststream import AckPolicy

from services.runtime.reader import REBALANCE_WITHIN_MS, REVOKE_WAITS_S, Reader, kafka_broker, subscribe


async def test_every_subscriber_gives_back_what_failed_reads_from_the_earliest_and_keeps_its_place(readers: dict[str, list[Reader]]) -> None:
    broker = kafka_broker("127.0.0.1:1")
    every = [reader for of_service in readers.values() for reader in of_service]
    for reader in every:
        subscribe(broker, reader, instance="7")
    assert len(broker.subscribers) == len(every) > 10
    for subscriber in broker.subscribers:
        connection = subscriber._connection_args
        assert subscriber.ack_policy is AckPolicy.NACK_ON_ERROR
        assert connection["auto_offset_reset"] == "earliest"
        assert not connection["enable_auto_commit"]
        assert connection["group_instance_id"].endswith("-7")
        assert connection["rebalance_timeout_ms"] == REBALANCE_WITHIN_MS > REVOKE_WAITS_S * 1000
        assert subscriber._listener is not None
    names = [subscriber._connection_args["group_instance_id"] for subscriber in broker.subscribers]
    assert len(set(names)) == len(names)
