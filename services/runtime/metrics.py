"""What Prometheus reads of every service. No label names a patient, a case or an upload."""

from prometheus_client import Counter, Gauge, Histogram

HANDLED = Counter("greenchannel_messages_handled_total", "Messages handled to their end", ["reader"])
REPEATED = Counter("greenchannel_messages_repeated_total", "Messages that had been handled before", ["reader"])
DEAD_LETTERS = Counter("greenchannel_dead_letters_total", "Messages that were given up: look at the topic's .dlq", ["reader"])
AWAY = Gauge("greenchannel_away", "1 while the reader waits for a part of the stack", ["reader", "what"])
STOPPED = Gauge("greenchannel_reader_stopped", "1 where everything went to the dead letters and the reader stopped", ["reader"])
HANDLING_SECONDS = Histogram(
    "greenchannel_handling_seconds",
    "From taking a message to its end",
    ["reader"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
AGE_SECONDS = Histogram(
    "greenchannel_message_age_seconds",
    "How old a message was when it was taken",
    ["reader"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 15, 60, 300),
)
