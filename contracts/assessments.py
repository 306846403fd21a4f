"""What triage made of an upload: how urgent it is, and the evidence."""

from typing import Annotated

from pydantic import Field, StringConstraints

from contracts.ids import ClinicId, PatientKey, UploadId
from contracts.vocabulary import Age, Blob, Complaint, Event, Frozen, Instant, Lane, LeadName, Priority, Sex

MAX_STATEMENTS = 40
MAX_STATEMENT_CHARACTERS = 200

VendorStatement = Annotated[str, StringConstraints(max_length=MAX_STATEMENT_CHARACTERS)]


class Value(Frozen):
    """One measured value beside the threshold that it was held against."""

    name: str = Field(description="what was measured, with its unit: st_j_mv", max_length=60)
    lead: LeadName | None = None
    measured: float
    threshold: float
    why: str = Field(default="", description="why this threshold: 'V2-V3, man of 40 or older'", max_length=200)


class Finding(Frozen):
    """One rule that fired; it names its source, and what could be checked by hand."""

    rule: str = Field(max_length=60)
    version: str = Field(max_length=20)
    source: str = Field(description="guideline or paper", max_length=300)
    title: str = Field(max_length=200)
    title_zh: str | None = Field(default=None, description="what the rule finds, in Chinese; without the measured values", max_length=400)
    priority: Priority
    leads: tuple[LeadName, ...] = ()
    values: tuple[Value, ...] = ()


class NotJudged(Frozen):
    """A rule that could be neither found nor ruled out."""

    rule: str = Field(max_length=60)
    lacked: tuple[Annotated[str, StringConstraints(max_length=60)], ...] = Field(description="what was not measured: 's_mv in V1', 'V2'")


class QualityProblem(Frozen):
    """Something about the recording that kept it, or a part of it, from being judged."""

    code: str = Field(description="leads_missing, flat, undecodable, timed_out ...", pattern=r"^[a-z_]{1,40}$")
    leads: tuple[LeadName, ...] = ()
    text: str = Field(description="in words that a village doctor can act on", max_length=400)


class Quality(Frozen):
    evaluable: bool
    problems: tuple[QualityProblem, ...] = ()


class LeadMeasurement(Frozen):
    """Of one lead of the median beat, in mV against the level at QRS onset, up is positive. None is not measured, which is not zero."""

    lead: LeadName
    st_j_mv: float | None = Field(default=None, description="mV at the J point against the level at QRS onset; None: not measured, which is not zero")
    st_j20_mv: float | None = Field(default=None, description="mV 20 ms after J")
    st_j40_mv: float | None = Field(default=None, description="mV 40 ms after J")
    st_j60_mv: float | None = Field(default=None, description="mV 60 ms after J")
    st_j80_mv: float | None = Field(default=None, description="mV 80 ms after J")
    st_confidence: float | None = Field(default=None, ge=0, le=1, description="how likely ST at J is right to 0.03 mV, by its spread over the beats")
    q_mv: float | None = Field(default=None, description="mV, zero or negative; of a QS complex its depth")
    r_mv: float | None = Field(default=None, description="mV, the highest point of the QRS; 0: no R")
    s_mv: float | None = Field(default=None, description="mV, zero or negative; of a QS complex its depth")
    t_mv: float | None = Field(default=None, description="mV, the point of the T wave furthest from the level")


class Rhythm(Frozen):
    """Of all beats, from leads in which ST need not be measurable. None is not measured."""

    beats: int = Field(description="found in the recording")
    shortest_rr_ms: float | None = None
    pause_s: float | None = Field(default=None, description="s, the longest time without a beat, before the first and after the last too")
    irregularity: float | None = Field(default=None, description="median change from one RR interval to the next, over the median interval")
    p_waves: bool | None = Field(default=None, description="the beats agree on a P wave before them")
    atrial_fibrillation: bool | None = Field(default=None, description="irregular, no P waves: atrial fibrillation, or flutter conducted in turns")
    paced: bool = Field(description="half of the beats or more follow a pacemaker's spike, and the median beat is of such")
    ventricular_ectopics: int = Field(description="wide beats of another shape than most")
    supraventricular_ectopics: int = Field(description="early beats of the shape of most")
    r_on_t: bool | None = Field(default=None, description="a ventricular ectopic begins before T of the beat before it has ended")
    wide_run_beats: int = Field(description="in the longest row of wide beats at 100 a minute or more; 0: there is none")
    wide_run_bpm: float | None = None
    wide_run_share: float | None = Field(default=None, description="of all beats")
    polymorphic: bool = Field(description="fast broad beats of many shapes, or waves that turn")
    fibrillation: bool = Field(description="waves of the ventricles without rest, in place of beats")
    standstill: bool = Field(description="no QRS from start to end, although electrodes are on")
    dissociated_atrial_bpm: float | None = Field(default=None, description="of P waves that a slow regular QRS does not follow; None: not so")
    preexcited: bool = Field(description="a short PR and a QRS that begins slowly")


class Measurements(Frozen):
    """Of the median beat; `rhythm` of all beats. None is not measured."""

    heart_rate_bpm: float | None = None
    rr_ms: float | None = Field(default=None, description="ms, the median between neighbouring beats of the median's shape: what QTc is made with")
    p_ms: float | None = Field(default=None, description="ms from P onset to P end")
    p_confidence: float | None = Field(default=None, ge=0, le=1, description="how far the beats agree on the P wave; None: no P was found")
    pr_ms: float | None = Field(default=None, description="ms from P onset to QRS onset")
    qrs_ms: float | None = None
    qt_ms: float | None = Field(default=None, description="ms from QRS onset to T end")
    qt_confidence: float | None = Field(default=None, ge=0, le=1, description="how far the beats agree on the T wave; None: no T end was found")
    qtcb_ms: float | None = Field(default=None, description="ms, QT corrected by Bazett")
    qtcf_ms: float | None = Field(default=None, description="ms, QT corrected by Fridericia")
    axis_deg: float | None = Field(default=None, ge=-180, le=180, description="degrees, the frontal axis of the QRS: 0 is lead I, 90 is aVF")
    baseline: str | None = Field(default=None, description="what ST is measured against", max_length=60)
    beats: int | None = Field(default=None, description="beats in the median beat")
    leads: tuple[LeadMeasurement, ...] = ()
    rhythm: Rhythm | None = None


class VendorMeasurements(Frozen):
    """What the cart measured by itself, as its file states it: shown for comparison, used by no rule. None: not stated, or impossible."""

    heart_rate_bpm: float | None = Field(default=None, ge=10, le=400)
    rr_ms: float | None = Field(default=None, ge=150, le=6000)
    pr_ms: float | None = Field(default=None, ge=40, le=1000)
    qrs_ms: float | None = Field(default=None, ge=20, le=500)
    qt_ms: float | None = Field(default=None, ge=100, le=1200)
    qtc_ms: float | None = Field(default=None, ge=100, le=1200, description="ms, corrected by a formula that the file does not state")
    qtcb_ms: float | None = Field(default=None, ge=100, le=1200, description="ms, QT corrected by Bazett")
    qtcf_ms: float | None = Field(default=None, ge=100, le=1200, description="ms, QT corrected by Fridericia")
    p_axis_deg: float | None = Field(default=None, ge=-180, le=180, description="degrees in the frontal plane")
    qrs_axis_deg: float | None = Field(default=None, ge=-180, le=180, description="degrees in the frontal plane")
    t_axis_deg: float | None = Field(default=None, ge=-180, le=180, description="degrees in the frontal plane")


class Reading(Frozen):
    """What can be said from the files and the facts alone, with no broker near: what `greenchannel triage` prints."""

    rulebook: str = Field(max_length=60)
    rulebook_version: str = Field(description="with a region's profile behind it, where one changes the rules: '1+zhejiang 1'", max_length=20)
    priority: Priority
    findings: tuple[Finding, ...] = ()
    not_judged: tuple[NotJudged, ...] = Field(
        default=(), description="rules for which something was not measured: they were not found, nor ruled out"
    )
    quality: Quality
    compared_with: UploadId | None = Field(default=None, description="the patient's earlier upload that ST was compared with; None: with none")
    measurements: Measurements = Measurements()
    vendor_statements: tuple[VendorStatement, ...] = Field(
        default=(), max_length=MAX_STATEMENTS, description="what the cart itself said: kept, never believed"
    )
    vendor_measurements: VendorMeasurements = Field(default=VendorMeasurements(), description="what the cart itself measured: likewise")
    age_y: Age | None = Field(default=None, description="the age that was judged by: the upload's, else the file's")
    sex: Sex | None = None


class Assessed(Event, Reading):
    """An upload was read and judged, or could not be: then its priority is not_evaluable and quality says why."""

    schema_version = 3

    upload_id: UploadId
    clinic_id: ClinicId
    patient_key: PatientKey
    lane: Lane
    received_at: Instant
    first_medical_contact_at: Instant | None = None
    complaint: Complaint | None = None
    follows: UploadId | None = None
    recording: Blob | None = Field(default=None, description="the decoded recording without identity; None where nothing could be decoded")
    took_ms: float = Field(default=0.0, ge=0, description="triage's own time on it")
