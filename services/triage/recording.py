"""One 12-lead recording as every part of triage sees it: leads, millivolts, a rate, and no identity at all."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from contracts.assessments import VendorMeasurements
from contracts.vocabulary import Sex
from services.runtime.errors import GreenchannelError

Samples = NDArray[np.float32]
Voltages = TypeVar("Voltages", NDArray[np.float32], NDArray[np.float64])

LIMB = ("I", "II", "III", "aVR", "aVL", "aVF")
CHEST = ("V1", "V2", "V3", "V4", "V5", "V6")
STANDARD = LIMB + CHEST
POSTERIOR = ("V7", "V8", "V9")
RIGHT_SIDED = ("V3R", "V4R")
KNOWN_LEADS = STANDARD + POSTERIOR + RIGHT_SIDED
INDEPENDENT = ("I", "II", *CHEST)  # the other four limb leads are sums of I and II
NOT_MEASURED = VendorMeasurements()


@dataclass(frozen=True)
class Recording:
    """What was decoded. `samples_mv` is (leads, samples) in mV, NaN where the recorder has a gap; no name, number or date is in it."""

    leads: tuple[str, ...]
    samples_mv: Samples
    fs_hz: float
    age_y: int | None
    sex: Sex | None
    vendor_statements: tuple[str, ...]
    format: str
    vendor_measurements: VendorMeasurements = NOT_MEASURED

    @property
    def seconds(self) -> float:
        return float(self.samples_mv.shape[1] / self.fs_hz)


def other_limb_leads(i_mv: Voltages, ii_mv: Voltages) -> dict[str, Voltages]:
    """Return III, aVR, aVL and aVF, which follow from I and II (Einthoven, Goldberger); all of one shape, in mV."""
    return {"III": ii_mv - i_mv, "aVR": -(i_mv + ii_mv) / 2, "aVL": i_mv - ii_mv / 2, "aVF": ii_mv - i_mv / 2}


class Undecodable(GreenchannelError):
    """Bytes that give no recording. `reason` is our own sentence, never a library's: those may quote the file, and so a name."""

    def __init__(self, code: str, reason: str, cause: str = "") -> None:
        super().__init__(code, reason, cause)
        self.code, self.reason, self.cause = code, reason, cause

    def __str__(self) -> str:
        return f"{self.code}: {self.reason}" + (f" ({self.cause})" if self.cause else "")
