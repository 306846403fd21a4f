"""The cart's own measurements: numbers alone, each within what a heart can do. They are kept for people to compare; no rule sees them."""

import re
from collections.abc import Iterator
from itertools import islice

from ecgdatakit.models import ECGRecord
from pydantic import ValidationError

from contracts.assessments import VendorMeasurements

_OF_THE_MODEL = {
    "heart_rate": "heart_rate_bpm",
    "rr_interval": "rr_ms",
    "pr_interval": "pr_ms",
    "qrs_duration": "qrs_ms",
    "qt_interval": "qt_ms",
    "qtc_bazett": "qtcb_ms",
    "qtc_fridericia": "qtcf_ms",
    "p_axis": "p_axis_deg",
    "qrs_axis": "qrs_axis_deg",
    "t_axis": "t_axis_deg",
}
_OF_THE_NOTES = {  # what the library leaves as text: a QTc whose formula is not stated, units of DICOM that it does not know
    "qtc": "qtc_ms",
    "qtcorrected": "qtc_ms",
    "mdc_ecg_time_pd_qtc": "qtc_ms",
    "qtc_interval": "qtc_ms",
    "qtc_interval_global": "qtc_ms",
    "pr_interval_global": "pr_ms",
    "qrs_duration_global": "qrs_ms",
    "qt_interval_global": "qt_ms",
    "ventricular_heart_rate": "heart_rate_bpm",
}
_UNITS = {"qtc_ms": ("ms", ""), "heart_rate_bpm": ("{h.b.}/min", "/min", "bpm")}  # MUSE gives its QTc without a unit: its schema says ms
_BOUNDS = {"pr_ms": ("p_onset", "qrs_onset"), "qrs_ms": ("qrs_onset", "qrs_offset"), "qt_ms": ("qrs_onset", "t_offset")}  # all that SCP gives
_NUMBER = re.compile(r"(-?\d{1,5}(?:\.\d{1,6})?) ?([^ ]{0,12})(?: \(.{0,40}\))?")
_NOT_IN_A_NAME = re.compile(r"[^a-z0-9]+")
_GROUP = re.compile(r"_group\d{1,2}$")
_MOST_NOTES = 500  # a cart writes some dozens


def measurements_of(record: ECGRecord) -> VendorMeasurements:
    """Return what the file states of its own reading. What is not stated, or impossible, is None; all of it where the cart counted no beat."""
    if record.measurements.heart_rate == 0:
        return VendorMeasurements()
    found: dict[str, float] = {}
    for name, value in _stated(record):
        if name not in found and _is_possible(name, value):
            found[name] = value
    return VendorMeasurements(**found)


def _stated(record: ECGRecord) -> Iterator[tuple[str, float]]:
    for theirs, ours in _OF_THE_MODEL.items():
        value = getattr(record.measurements, theirs)
        if value is not None:
            yield ours, float(value) - (360 if ours.endswith("_deg") and 180 < value <= 360 else 0)
    for key in ("qtc_ms", "qtc"):
        value = record.raw_metadata.get(key)
        if isinstance(value, int | float):
            yield "qtc_ms", float(value)
    for key, text in islice(record.annotations.items(), _MOST_NOTES):
        name = _OF_THE_NOTES.get(_GROUP.sub("", _NOT_IN_A_NAME.sub("_", key[:60].lower()).strip("_")))
        matched = _NUMBER.fullmatch(str(text)[:80]) if name else None
        if name and matched and matched[2].lower() in _UNITS.get(name, ("ms",)):
            yield name, float(matched[1])
    for name, edges in _BOUNDS.items():
        first, last = (_NUMBER.fullmatch(str(record.annotations.get(f"median_{edge}_ms", ""))[:20]) for edge in edges)
        if first and last:
            yield name, float(last[1]) - float(first[1])


def _is_possible(name: str, value: float) -> bool:
    """True where the contract, which holds the bounds, takes the value."""
    try:
        VendorMeasurements(**{name: value})
    except ValidationError:
        return False
    return True
