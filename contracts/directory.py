"""Centres, clinics and people: who answers for a clinic, and how each is reached."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from contracts.ids import CentreId, ClinicId, PersonId, Slug


class Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)  # people write it: a misspelt word is an error, not a default


class Centre(Entry):
    name: str = Field(min_length=1, max_length=80)
    standing_number: str = Field(description="always answered by a person", pattern=r"^[0-9+*# -]{3,30}$")
    standing_alarm: SecretStr = Field(description="the Apprise address by which a machine rings the standing number; 'local': this machine's pager")
    on_call: tuple[PersonId, ...] = Field(min_length=1, description="all of them are paged in each round: a page to nobody cannot be built")


class Clinic(Entry):
    name: str = Field(min_length=1, max_length=80)
    centre: CentreId


class Person(Entry):
    name: str = Field(min_length=1, max_length=80)
    methods: dict[Slug, SecretStr] = Field(
        min_length=1, description="by name, an Apprise address each, the first is used first; 'local' is the pager of this machine"
    )


class Directory(Entry):
    """The whole, checked as one."""

    version: str = Field(min_length=1, max_length=40)
    centres: dict[CentreId, Centre] = Field(min_length=1)
    clinics: dict[ClinicId, Clinic] = Field(min_length=1)
    people: dict[PersonId, Person] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        for clinic_id, clinic in self.clinics.items():
            if clinic.centre not in self.centres:
                raise ValueError(f"clinic {clinic_id} belongs to centre {clinic.centre}, which is not listed")
        for centre_id, centre in self.centres.items():
            for person_id in centre.on_call:
                if person_id not in self.people:
                    raise ValueError(f"centre {centre_id} has {person_id} on call, who is not listed under people")
        return self

    def centre_of(self, clinic_id: ClinicId) -> tuple[CentreId, Centre]:
        """Return the centre that answers for a clinic; for one that is no longer listed, the first centre: somebody always answers."""
        clinic = self.clinics.get(clinic_id)
        centre_id = clinic.centre if clinic else next(iter(self.centres))
        return centre_id, self.centres[centre_id]
