"""Synthetic patients for the bench, each another recording: the same one twice would be one upload."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count

from contracts.vocabulary import Sex
from services.ops.synthetic_dicom import to_dicom
from services.ops.synthetic_patient import Pattern, synthesize

AGE_Y, SEX = 61, Sex.MALE
MADE_AT = datetime(2026, 1, 1, tzinfo=UTC)


def patients(pattern: Pattern) -> Iterator[bytes]:
    """Yield recordings without end, 10 s of twelve leads each as the bytes of a DICOM file."""
    for seed in count():
        yield to_dicom(synthesize(pattern, st_mv=None, seed=seed), age_y=AGE_Y, sex=SEX, made_at=MADE_AT)
