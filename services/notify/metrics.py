"""What Prometheus reads of notify beside the readers' own figures."""

from prometheus_client import Counter, Histogram

NOTICES = Counter("greenchannel_notices_total", "Notices, by what is known of them and how urgent they were", ["outcome", "priority"])
SUPERSEDED = Counter(
    "greenchannel_notices_superseded_total",
    "Pages that were not handed over because another that says the same had just been or waits, or because they were more than a day old",
    ["priority"],
)
ALARMS_REFUSED = Counter("greenchannel_standing_alarms_refused_total", "Attempts to tell a standing number of a dead letter that failed: call it")
NOBODY_ON_CALL = Counter("greenchannel_nobody_on_call_total", "Steps of a policy whose rosters named nobody: mend the rosters", ["centre"])
UPLOAD_TO_HANDED_OVER_SECONDS = Histogram(
    "greenchannel_upload_to_handed_over_seconds",
    "From the receipt of an upload to the moment at which a carrier took a notice about it, first rounds only",
    ["priority"],
    buckets=(0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60, 120, 300, 900),
)
