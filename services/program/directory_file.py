"""The directory as people write it: one YAML file, each mistake told with its line. Addresses in it go to Contacts, all else to Directory."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, SecretStr, ValidationError

from contracts.directory import Centre, Clinic, Contacts, Directory, Entry, MethodName, Person, Policy, PolicyId, Roster, RosterId, Team, TeamId
from contracts.envelope import MAX_VALUE_BYTES
from contracts.ids import CentreId, ClinicId, PersonId
from services.program.address_check import unusable
from services.program.directory_check import Place, Problem, check, problem_at, remarks
from services.runtime.errors import ConfigurationError

MAX_BYTES = 4 * 1024 * 1024
AROUND_BYTES = 256  # what an event holds beside the directory
_HINTS = {
    "extra_forbidden": "no such word is known here",
    "string_type": "put it in quotes: it is to be text",
    "int_type": "is to be a whole number in digits alone: 35, not 035, 35.0 or '35'",
    "bool_type": "is to be true or false",
    "dict_type": "is to hold names, each with a colon and what belongs to it",
    "model_type": "is to hold names, each with a colon and what belongs to it",
    "tuple_type": "is to be a list: write it in [ ]",
    "json_invalid": "holds brackets in brackets without end",
    "missing": "is missing here",
    "timezone_aware": "write it with a time zone, e.g. 2026-03-05T08:00:00+08:00",
}

Address = Annotated[SecretStr, Field(min_length=1, description="an Apprise address, or 'local' for this machine's pager")]


class DirectoryRefused(ConfigurationError):
    """A directory that may not be used; every mistake with its line."""

    def __init__(self, path: str, problems: tuple[Problem, ...]) -> None:
        super().__init__(path, "; ".join(f"line {each.line}: {each.where}: {each.what}" for each in problems))
        self.args = (path, problems)
        self.path, self.problems = path, problems

    def __str__(self) -> str:
        return "\n".join(f"{self.path}:{each.line}: {each.where}: {each.what}" for each in self.problems)


class _Method(Entry):
    address: Address
    rings: bool


class _Person(Entry):
    name: str = Field(min_length=1, max_length=80)
    methods: dict[MethodName, _Method] = Field(min_length=1, description="in the order in which they are tried")


class _Centre(Centre):
    standing_alarm: Address


class _File(Entry):
    """Directory's fields, with the addresses in their places."""

    version: str = Field(min_length=1, max_length=40)
    timezone: str = Field(default="Asia/Shanghai", max_length=40)
    centres: dict[CentreId, _Centre] = Field(min_length=1)
    clinics: dict[ClinicId, Clinic] = Field(min_length=1)
    people: dict[PersonId, _Person] = Field(min_length=1)
    teams: dict[TeamId, Team] = Field(default={})
    rosters: dict[RosterId, Roster] = Field(default={})
    policies: dict[PolicyId, Policy] = Field(min_length=1)

    def directory(self) -> Directory:
        centres = {centre_id: Centre.model_validate(each.model_dump(exclude={"standing_alarm"})) for centre_id, each in self.centres.items()}
        people = {
            person_id: Person(name=each.name, methods={name: method.rings for name, method in each.methods.items()})
            for person_id, each in self.people.items()
        }
        return Directory(
            version=self.version,
            timezone=self.timezone,
            centres=centres,
            clinics=self.clinics,
            people=people,
            teams=self.teams,
            rosters=self.rosters,
            policies=self.policies,
        )

    def contacts(self) -> Contacts:
        return Contacts(
            people={person_id: {name: method.address for name, method in each.methods.items()} for person_id, each in self.people.items()},
            standing_alarms={centre_id: centre.standing_alarm for centre_id, centre in self.centres.items()},
        )


@dataclass
class _Marked:
    """A file's content as plain data, and the line of everything in it."""

    data: object = None
    lines: dict[Place, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def wrong(self, place: Place, what: str) -> None:
        self.problems.append(problem_at(self.lines, place, what))


def read_directory_file(path: Path) -> tuple[Directory, Contacts]:
    """Return what a directory file says, whether or not it makes sense as a whole; DirectoryRefused with the line of each mistake in its form,
    ConfigurationError where it cannot be read at all."""
    directory, contacts, _ = _read(path)
    return directory, contacts


def checked_directory_file(path: Path, at: datetime) -> tuple[Directory, Contacts]:
    """Return what a directory file says, where it makes sense as a whole from `at` on; else as read_directory_file, with all that `check` finds."""
    directory, contacts, _ = checked_with_remarks(path, at)
    return directory, contacts


def checked_with_remarks(path: Path, at: datetime) -> tuple[Directory, Contacts, tuple[Problem, ...]]:
    """Return as checked_directory_file, and what may be loaded but is hardly meant."""
    directory, contacts, lines = _read(path)
    not_usable = {problem_at(lines, place, what) for place, what in unusable(contacts)}
    if problems := tuple(sorted({*check(directory, contacts, at, lines), *not_usable})):
        raise DirectoryRefused(str(path), problems)
    return directory, contacts, remarks(directory, at, lines)


def _read(path: Path) -> tuple[Directory, Contacts, Mapping[Place, int]]:
    marked = _marked(path)
    if marked.problems:
        raise _refused(path, marked)
    try:
        # As JSON, in which a number, a text and a list are strictly what they are, and a time is a text.
        written = _File.model_validate_json(json.dumps(marked.data), strict=True, extra="forbid")
    except ValidationError as error:
        for place, what in _mistakes(error):
            marked.wrong(place, what)
        raise _refused(path, marked) from None
    directory, contacts = written.directory(), written.contacts()
    for what, held in (("the directory", directory), ("the contacts", contacts)):
        size_bytes = len(held.model_dump_json().encode()) + AROUND_BYTES
        if size_bytes > MAX_VALUE_BYTES:
            marked.wrong(
                (), f"{what} as an event would have {size_bytes} bytes, and at most {MAX_VALUE_BYTES} are carried: take out what is not used"
            )
    if marked.problems:
        raise _refused(path, marked)
    return directory, contacts, marked.lines


def _mistakes(error: ValidationError) -> Iterator[tuple[Place, str]]:
    """Yield what does not fit the models. A list whose items are wrong is said to be too short as well, which is nobody's mistake."""
    parts = [(tuple(each for each in part["loc"] if each != "[key]"), part) for part in error.errors(include_url=False, include_input=False)]
    around = {place[:length] for place, _ in parts for length in range(len(place))}
    for place, part in parts:
        if not (part["type"] == "too_short" and place in around):
            yield place, _HINTS.get(part["type"], part["msg"].removeprefix("Value error, "))


def _refused(path: Path, marked: _Marked) -> DirectoryRefused:
    return DirectoryRefused(str(path), tuple(sorted(set(marked.problems))))


def _marked(path: Path) -> _Marked:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigurationError(path, f"is larger than {MAX_BYTES // 1024 // 1024} MiB")
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=_Words)
        marked = _Marked()
        if root is None:
            marked.wrong((), "the file is empty")
        else:
            marked.data = _Reading(marked).plain(root, (), root)
        return marked
    except OSError as error:
        raise ConfigurationError(path, f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(path, "is not UTF-8: save it again as UTF-8") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise DirectoryRefused(str(path), (Problem(mark.line + 1 if mark else 1, "file", error.problem or "is not YAML"),)) from None
    except (yaml.YAMLError, RecursionError):
        raise ConfigurationError(path, "is not YAML: it holds a character that no text holds, or brackets without end") from None


class _Words(yaml.SafeLoader):
    """What stands without quotes is a number in plain digits, true, false, nothing, or text. YAML 1.1 makes a 0 of no, 480 of 8:00 and 8 of 010."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - as in the class that it comes from


_YAML = "tag:yaml.org,2002:"
_MAP, _SEQUENCE, _TEXT, _INT, _BOOL, _NULL = (f"{_YAML}{each}" for each in ("map", "seq", "str", "int", "bool", "null"))
_WRITTEN = {
    _TEXT: re.compile(r"[^\ud800-\udfff]*"),  # half a character is in no encoding
    _INT: re.compile(r"-?(0|[1-9][0-9]{0,17})"),
    _BOOL: re.compile(r"true|True|TRUE|false|False|FALSE"),
    _NULL: re.compile(r"~|null|Null|NULL|"),
}
for _tag, _first in ((_INT, "-0123456789"), (_BOOL, "tTfF"), (_NULL, ["~", "n", "N", ""])):
    _Words.add_implicit_resolver(_tag, re.compile(f"(?:{_WRITTEN[_tag].pattern})\\Z"), list(_first))


class _Reading:
    """From YAML's nodes to plain data. What is written once stands once: an alias could make a short file endless."""

    def __init__(self, into: _Marked) -> None:
        self._into, self._seen = into, set[int]()

    def plain(self, node: yaml.Node, place: Place, named_by: yaml.Node) -> object:
        self._into.lines[place] = named_by.start_mark.line + 1
        if id(node) in self._seen:
            self._into.wrong(place, "an alias (*name) is not taken here: write it out")
            return None
        self._seen.add(id(node))
        if isinstance(node, yaml.MappingNode) and node.tag == _MAP:
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode) and node.tag == _SEQUENCE:
            return [self.plain(each, (*place, index), each) for index, each in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and node.tag in _WRITTEN and _WRITTEN[node.tag].fullmatch(node.value):
            return self._scalar(node, place)
        marked = f"does not fit its mark {node.tag.replace(_YAML, '!!')}: take the mark out"
        is_text = isinstance(node, yaml.ScalarNode) and node.tag == _TEXT
        self._into.wrong(place, "holds half a character: write it whole" if is_text else marked)
        return None

    def _scalar(self, node: yaml.ScalarNode, place: Place) -> object:
        if node.tag == _NULL:  # of lysis_min it would be "none is given here", and may be a number still to be written
            self._into.wrong(place, "stands empty (null is that too): write it, or take it out")
            return None
        if node.tag == _BOOL:
            return node.value.lower() == "true"
        return int(node.value) if node.tag == _INT else node.value

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != _TEXT or not _WRITTEN[_TEXT].fullmatch(key.value):
                self._into.lines[*place, "?"] = key.start_mark.line + 1
                self._into.wrong((*place, "?"), "a name is to be text: put it in quotes")
            elif key.value in found:
                self._into.lines[*place, key.value] = key.start_mark.line + 1
                self._into.wrong((*place, key.value), "stands here twice")
            else:
                found[key.value] = self.plain(value, (*place, key.value), key)
        return found
