"""What a clinic sent in. Written by the gateway, once the bytes are durable."""

from typing import Annotated

from pydantic import Field, StringConstraints

from contracts.ids import ClinicId, PatientKey, UploadId
from contracts.vocabulary import Age, Blob, Complaint, Event, Instant, Lane, Sex

FactName = Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,40}$")]


class EcgUploaded(Event):
    """An ECG was accepted; `at` is the gateway's receipt, from which every clock counts where nothing earlier is known."""

    upload_id: UploadId
    clinic_id: ClinicId
    patient_key: PatientKey
    lane: Lane
    recording: Blob = Field(description="the raw files, which may hold a name: triage reads them and nobody else")
    age_y: Age | None = None
    sex: Sex | None = None
    complaint: Complaint | None = None
    first_medical_contact_at: Instant | None = None
    follows: UploadId | None = Field(default=None, description="the upload that this one repeats")
    sent_at: Instant | None = Field(default=None, description="the clinic's clock when it sent")
    clock_skew_s: float | None = Field(default=None, description="seconds, receipt minus sent_at")
    device_time: str | None = Field(default=None, description="the cart's own time, ISO 8601, as it came", pattern=r"^[0-9T:.+Z -]{8,40}$")
    unknown_facts: tuple[FactName, ...] = Field(default=(), description="facts that came but could not be true, taken as unknown")
