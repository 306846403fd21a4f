"""What Prometheus reads of the gateway. No label names a clinic's patient or an upload."""

from prometheus_client import Counter, Histogram

ACCEPTED = Counter("greenchannel_uploads_accepted_total", "Uploads answered with 202, repeats among them", ["lane"])
REFUSED = Counter("greenchannel_uploads_refused_total", "Uploads answered with something else: `away` and `busy` are ours to mend", ["reason"])
NOT_UNDERSTOOD = Counter("greenchannel_upload_fields_not_understood_total", "Fields of accepted uploads whose names are no facts: mistyped ones")
ACCEPTING_SECONDS = Histogram(
    "greenchannel_upload_accepting_seconds",
    "From the last byte of an upload to its 202",
    ["lane"],
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 4),
)
