"""What a rulebook file and a profile hold, as their writers see it."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from contracts.vocabulary import Priority, Sex
from services.triage.recording import KNOWN_LEADS


def _known(lead: str) -> str:
    if lead not in KNOWN_LEADS:
        raise ValueError(f"{lead} is no lead that is known here: {', '.join(KNOWN_LEADS)}")
    return lead


Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
Lead = Annotated[str, AfterValidator(_known)]
Leads = Annotated[tuple[Lead, ...], Field(min_length=1)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=400)]
Version = Annotated[str, StringConstraints(min_length=1, max_length=20)]
Cel = Annotated[str, StringConstraints(min_length=1, max_length=2000)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Row(_Part):
    """One value of a threshold, and whom and which leads it is for; without leads it is for those that no other row names."""

    value: Number
    leads: tuple[Lead, ...] = ()
    where: str = Field(default="", max_length=60)  # all words of a threshold fit into a finding
    who: str = Field(default="", max_length=60)
    sex: Sex | None = None
    from_y: int = 0
    below_y: int = 200

    def could_apply(self, age_y: int | None, sex: Sex | None) -> bool:
        return (self.sex is None or sex is None or sex is self.sex) and (age_y is None or self.from_y <= age_y < self.below_y)


class Threshold(_Part):
    """A number by which something is judged: `value` for everybody, or rows by lead, sex and age.

    `unknown` says which row is taken of those that could apply where age or sex is not known. `why` is told with the number; else the row's words."""

    value: Number | None = None
    rows: tuple[Row, ...] = ()
    unknown: Literal["lowest", "highest"] | None = None
    why: str = Field(default="", max_length=200)

    @property
    def per_lead(self) -> bool:
        return any(row.leads for row in self.rows)

    @model_validator(mode="after")
    def _whole(self) -> "Threshold":
        if (self.value is None) is (not self.rows):
            raise ValueError("a threshold has either a value or rows")
        if bool(self.rows) is (self.unknown is None):
            raise ValueError("a threshold with rows, and no other, says `unknown`: lowest or highest")
        ages = sorted({0} | {age for row in self.rows for age in (row.from_y, row.below_y) if age < 126})
        for lead in KNOWN_LEADS if self.per_lead else ("",):
            for sex in Sex:
                for age_y in ages if self.rows else ():
                    if not any(row.could_apply(age_y, sex) for row in self.rows_for(lead)):
                        raise ValueError(f"there is no row for {lead or 'a patient'}, sex {sex}, {age_y} years")
        return self

    def rows_for(self, lead: str) -> tuple[Row, ...]:
        """Return the rows that name the lead, else those that name none."""
        return tuple(row for row in self.rows if lead in row.leads) or tuple(row for row in self.rows if not row.leads)


class Gate(_Part):
    """A condition under which rules that name it are silent. It silences only where it is known to hold."""

    when: Cel
    why: Text


class Evidence(_Part):
    """Which measured value is shown against which threshold: once, or for each lead of a list (`lead` in `measured`)."""

    name: Name
    each: Cel | None = None
    when: Cel | None = None
    measured: Cel
    against: Name
    why: Annotated[str, StringConstraints(max_length=200)] = ""


class Title(_Part):
    en: Text
    zh: Text


class Example(_Part):
    """Measurements, given as what differs from the file's `normal`, and what the rule must make of them. null takes a value away."""

    given: dict[str, object]
    expect: Literal["fires", "silent", "not judged"]
    leads: Leads | None = None


class Rule(_Part):
    """One rule. `each` gives groups of leads that are judged one by one; `over` one group; `needs` leads without which silence says nothing."""

    version: Version
    priority: Literal[Priority.RED, Priority.YELLOW]
    title: Title
    category: Name
    each: Cel | None = None
    over: Cel | None = None
    let: dict[Name, Cel] = {}
    when: Cel
    needs: tuple[Lead, ...] = ()
    unless: tuple[Name, ...] = ()
    supersedes: tuple[Name, ...] = ()
    message: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    evidence: tuple[Evidence, ...] = ()
    source: Annotated[str, StringConstraints(min_length=1, max_length=300)]
    review: Literal["required", "signed"]
    examples: tuple[Example, ...]

    @model_validator(mode="after")
    def _shown_to_work(self) -> "Rule":
        if self.each is not None and self.over is not None:
            raise ValueError("a rule has `each` or `over`, not both")
        if {"fires", "silent"} - {example.expect for example in self.examples}:
            raise ValueError("a rule needs an example in which it fires and one in which it is silent")
        return self


class Book(_Part):
    """A rulebook file."""

    id: Name
    version: Annotated[str, StringConstraints(min_length=1, max_length=6)]
    thresholds: dict[Name, Threshold]
    contiguity: tuple[Leads, ...]
    territories: dict[Name, Leads]
    let: dict[Name, Cel] = {}
    gates: dict[Name, Gate] = {}
    normal: dict[str, object]
    rules: Annotated[dict[Name, Rule], Field(min_length=1)]


class Changed(_Part):
    priority: Literal[Priority.RED, Priority.YELLOW]


class Profile(_Part):
    """What a region changes: whole thresholds, and priorities of rules, by name. Its id and version are told with each reading, and are short."""

    id: Annotated[Name, Field(max_length=8)]
    version: Annotated[str, StringConstraints(min_length=1, max_length=4)]
    rulebook: Name
    thresholds: dict[Name, Threshold] = {}
    rules: dict[Name, Changed] = {}
