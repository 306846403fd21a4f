"""A synthetic recording as a DICOM 12-lead ECG Waveform Storage object that says, wherever a reader may look, that it is of nobody.

Source: DICOM PS3.3 A.34.3 (12-Lead ECG IOD) and C.10.9 (Waveform module); PS3.16 CID 3001 for the leads (ISO/IEEE 11073-10101), UCUM units.
"""

import hashlib
from datetime import datetime
from io import BytesIO
from uuid import UUID, uuid5

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, TwelveLeadECGWaveformStorage

from contracts.vocabulary import Sex
from services.ops.synthetic_patient import SyntheticRecording

NOT_A_PATIENT = "SYNTHETIC RECORDING, NOT A PATIENT"
STEP_MV = 0.001

_NAMESPACE = UUID("0f6c2b3e-6f0e-5a55-8d7a-3a1c6f1a9b02")
_LEAD_CODES = {"I": 1, "II": 2, "V1": 3, "V2": 4, "V3": 5, "V4": 6, "V5": 7, "V6": 8, "III": 61, "aVR": 62, "aVL": 63, "aVF": 64}


def to_dicom(recording: SyntheticRecording, *, age_y: int, sex: Sex, made_at: datetime) -> bytes:
    """Return the bytes of a DICOM file, samples in steps of STEP_MV; the same arguments give the same bytes.

    made_at is when the recording is said to be made and carries its zone. Raises ValueError for an age that DICOM cannot hold or a time
    without a zone."""
    if not 0 <= age_y <= 125:
        raise ValueError(f"an age of {age_y} years: choose 0 to 125")
    if made_at.utcoffset() is None:
        raise ValueError(f"{made_at} has no zone: pass a time with its offset from UTC")
    steps = np.round(recording.samples_mv / STEP_MV).astype("<i2")
    said = f"{recording.pattern}|{recording.seed}|{recording.fs_hz}|{age_y}|{sex}|{made_at.isoformat()}|{hashlib.sha256(steps.tobytes()).hexdigest()}"
    file = _identified(recording, said)
    _say_who(file, age_y=age_y, sex=sex)
    _say_when(file, made_at)
    file.AcquisitionContextSequence = []
    file.WaveformSequence = [_waveform(recording, steps)]
    file.WaveformAnnotationSequence = [_annotation()]
    out = BytesIO()
    dcmwrite(out, file, enforce_file_format=True)
    return out.getvalue()


def _uid(said: str, role: str) -> UID:
    """Return a UID under 2.25 (a UUID as a number, PS3.5 B.2) that the same recording always gets."""
    return UID(f"2.25.{uuid5(_NAMESPACE, f'{role}|{said}').int}")


def _identified(recording: SyntheticRecording, said: str) -> Dataset:
    file = Dataset()
    file.file_meta = FileMetaDataset()
    file.file_meta.MediaStorageSOPClassUID = TwelveLeadECGWaveformStorage
    file.file_meta.MediaStorageSOPInstanceUID = _uid(said, "instance")
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.file_meta.ImplementationClassUID = _uid("greenchannel", "implementation")
    file.file_meta.ImplementationVersionName = "GREENCHANNEL"
    file.SpecificCharacterSet = "ISO_IR 192"
    file.SOPClassUID = TwelveLeadECGWaveformStorage
    file.SOPInstanceUID = _uid(said, "instance")
    file.StudyInstanceUID = _uid(said, "study")
    file.SeriesInstanceUID = _uid(said, "series")
    file.StudyID, file.SeriesNumber, file.InstanceNumber = "SYNTHETIC", 1, 1
    file.AccessionNumber = ""
    file.ReferringPhysicianName = ""
    file.Modality = "ECG"
    file.Manufacturer = "Greenchannel"
    file.ManufacturerModelName = "synthetic patient"
    file.DeviceSerialNumber = "SYNTHETIC"
    file.SoftwareVersions = "1"
    file.StudyDescription = NOT_A_PATIENT
    st = "" if recording.st_mv is None else f", ST {recording.st_mv:.2f} mV"
    file.SeriesDescription = f"synthetic: {recording.pattern}{st}, seed {recording.seed}"[:64]
    return file


def _say_who(file: Dataset, *, age_y: int, sex: Sex) -> None:
    file.PatientName = "SYNTHETIC^PATIENT"
    file.PatientID = "SYNTHETIC"
    file.PatientBirthDate = ""
    file.PatientSex = sex.value
    file.PatientAge = f"{age_y:03d}Y"
    file.PatientComments = NOT_A_PATIENT
    file.QualityControlSubject = "YES"


def _say_when(file: Dataset, made_at: datetime) -> None:
    day, time = made_at.strftime("%Y%m%d"), made_at.strftime("%H%M%S.%f")
    file.StudyDate = file.SeriesDate = file.ContentDate = day
    file.StudyTime = file.SeriesTime = file.ContentTime = time
    file.AcquisitionDateTime = day + time + made_at.strftime("%z")[:5]
    file.TimezoneOffsetFromUTC = made_at.strftime("%z")[:5]


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _waveform(recording: SyntheticRecording, steps: NDArray[np.int16]) -> Dataset:
    group = Dataset()
    group.MultiplexGroupTimeOffset = 0
    group.WaveformOriginality = "ORIGINAL"
    group.NumberOfWaveformChannels = len(recording.leads)
    group.NumberOfWaveformSamples = steps.shape[1]
    group.SamplingFrequency = recording.fs_hz
    group.MultiplexGroupLabel = "RHYTHM"
    group.ChannelDefinitionSequence = [_channel(lead) for lead in recording.leads]
    group.WaveformBitsAllocated = 16
    group.WaveformSampleInterpretation = "SS"
    group.add_new("WaveformData", "OW", steps.T.tobytes())  # channels interleaved: all leads of a sample, then the next sample
    return group


def _channel(lead: str) -> Dataset:
    channel = Dataset()
    channel.ChannelLabel = lead
    channel.ChannelSourceSequence = [_code(f"2:{_LEAD_CODES[lead]}", "MDC", f"Lead {lead}")]
    channel.ChannelSensitivity = STEP_MV
    channel.ChannelSensitivityUnitsSequence = [_code("mV", "UCUM", "millivolt")]
    channel.ChannelSensitivityCorrectionFactor = 1
    channel.ChannelBaseline = 0
    channel.ChannelSampleSkew = 0
    channel.WaveformBitsStored = 16
    return channel


def _annotation() -> Dataset:
    note = Dataset()
    note.ReferencedWaveformChannels = [1, 0]  # the first group, all of its channels
    note.UnformattedTextValue = NOT_A_PATIENT
    note.AnnotationGroupNumber = 1
    return note
