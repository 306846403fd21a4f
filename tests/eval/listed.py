"""The recordings that the evaluation goes over, in which half each is, and what people said of it."""

import csv
import re
from dataclasses import dataclass
from functools import cache

from services.edge.recordings import files_of
from services.runtime.archive import UploadedFile
from services.triage.decode import decode
from services.triage.recording import Recording
from tests.conftest import RECORDINGS

ODD, HELD = "odd", "held"
NORMAL, LVH, BBB, PACED = "normal", "left ventricular hypertrophy", "bundle branch block, wide QRS", "paced"
EARLY, OLD = "early repolarisation", "old infarction"
RHYTHM, OTHER, INJURY, BAD = "rhythm", "other", "infarction or injury, unproven", "not a recording"
MIMICS = (LVH, BBB, PACED, EARLY, OLD)  # what may look like an infarction of today, and is none
GROUPS = (NORMAL, *MIMICS, RHYTHM, OTHER, INJURY, BAD)

_BY_CATEGORY = {
    "NORMAL": NORMAL,
    "MI old": OLD,
    "MI_OLD": OLD,
    "PACED": PACED,
    "BBB": BBB,
    "LVH": LVH,
    "AF/AFL": RHYTHM,
    "RHYTHM": RHYTHM,
    "BAD INPUT": BAD,
    "MI STEMI (LUDB label)": INJURY,
    "MI acute (PTB, dated)": INJURY,
    "MI (CPSC-Extra/Georgia)": INJURY,
    "INJURY": INJURY,
    "MI_ACUTE": INJURY,
}
_BY_CODE = {  # of the category MIMIC, the first that fits
    PACED: {"PACE"},
    BBB: {"CLBBB", "CRBBB", "ILBBB", "IRBBB", "IVCD", "WPW"},
    LVH: {"LVH", "VCLVH", "SEHYP"},
}
_EARLY_WORDS = ("早期复极", "early repolari")


@dataclass(frozen=True)
class Listed:
    """One line of the manifest."""

    file: str
    category: str
    labels: str

    @property
    def name(self) -> str:
        return self.file

    @property
    def half(self) -> str:
        return half_of(self.file)

    @property
    def group(self) -> str:
        return group_of(self.category, self.labels)

    @property
    def must_not_be_red(self) -> bool:
        """True where the list says so, and for whatever is called normal or a mimic."""
        return self.group in {NORMAL, *MIMICS} or "expected: not_red" in self.labels

    def recording(self) -> Recording:
        return read_file(self.file)


def half_of(file: str) -> str:
    """Return the half by the last digit in a record's name: odd ones are tuned on; even ones and those without a number are held."""
    digits = re.findall(r"\d", file.rsplit("/", 1)[-1].rsplit(".", 1)[0])
    return ODD if digits and digits[-1] in "13579" else HELD


def group_of(category: str, labels: str) -> str:
    """Return the kind of recording, by what the list says of it."""
    if category in _BY_CATEGORY:
        return _BY_CATEGORY[category]
    if any(word in labels.lower() for word in _EARLY_WORDS):
        return EARLY
    codes = set(re.findall(r"[A-Z0-9/_]+", labels.split("|", maxsplit=1)[0]))
    return next((group for group, wanted in _BY_CODE.items() if codes & wanted), OTHER) if category == "MIMIC" else OTHER


@cache
def manifest() -> tuple[Listed, ...]:
    with (RECORDINGS / "MANIFEST.tsv").open(encoding="utf-8") as lines:
        return tuple(Listed(row["file"], row["category"], row["labels"]) for row in csv.DictReader(lines, delimiter="\t"))


def uploaded(file: str) -> list[UploadedFile]:
    """Return the files of one recording, as a clinic sends them."""
    return [UploadedFile(part.name, part.read_bytes()) for part in files_of(RECORDINGS / file)]


def read_file(file: str) -> Recording:
    """Return a recording as it is decoded. Raises Undecodable."""
    return decode(uploaded(file))


def normals(half: str) -> list[Listed]:
    return [each for each in manifest() if each.group == NORMAL and each.half == half]
