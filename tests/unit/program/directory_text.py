"""A directory as somebody could write it, and the line of a part of it."""

from datetime import UTC, datetime
from pathlib import Path

NOW = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)  # a Monday, 12:00 in Shanghai

TEXT = """\
version: spring-1
timezone: Asia/Shanghai
centres:
  county:
    name: County Hospital
    network: north
    standing_number: 555-0100
    standing_alarm: local
    capabilities: [pci]
    hours: [{span: 00:00-00:00}]
    policy: red
    reading_policy: reading
  city:
    name: City Hospital
    network: south
    standing_number: 555-0101
    standing_alarm: local
    capabilities: [pci, stroke]
    policy: red
clinics:
  village:
    name: Village Clinic
    network: north
    travel_min: {county: 35}
    lysis_min: 10
people:
  ann:
    name: Ann
    methods:
      push: {address: "json://phone.test/ann", rings: false}
      call: {address: "json://gateway.test/ann", rings: true}
  bob:
    name: Bob
    methods:
      call: {address: local, rings: true}
  cai:
    name: Cai
    methods:
      mail: {address: "mailto://cai@mail.test", rings: false}
teams:
  doctors: {name: Doctors, members: [ann, "team:deputies"]}
  deputies:
    name: Deputies
    members: [bob]
rosters:
  on-call:
    hand_over_min: 15
    rotation:
      - {people: [ann, bob], begins: 2026-01-01T08:00:00}
    overrides:
      - {person: bob, begins: 2026-03-05T08:00:00+08:00, ends: 2026-03-06T08:00:00+08:00}
policies:
  red:
    steps:
      - {page: ["roster:on-call"], wait_s: 60}
      - {page: ["team:doctors", "person:cai"]}
    repeat: 2
    then: last
  last:
    steps:
      - page: ["person:bob"]
  reading:
    steps:
      - {page: ["person:cai"]}
"""


def with_part(old: str, new: str) -> str:
    """Return the text with one part of it, which stands there once, written otherwise."""
    assert TEXT.count(old) == 1, old
    return TEXT.replace(old, new)


def line_of(text: str, part: str) -> int:
    assert text.count(part) == 1, part
    return text[: text.index(part)].count("\n") + 1


def written(folder: Path, text: str) -> Path:
    path = folder / "directory.yaml"
    path.write_text(text, encoding="utf-8")
    return path
