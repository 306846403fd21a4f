"""A YAML file with the place of everything in it, so that whoever wrote it is told line and column of what is wrong."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from services.runtime.errors import GreenchannelError

MAX_BYTES = 1024 * 1024
Loc = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, order=True)
class Problem:
    line: int  # from 1
    column: int  # from 1
    text: str


class RulebookInvalid(GreenchannelError):
    """A rulebook or profile that may not be used; every problem with its place."""

    def __init__(self, path: str, problems: tuple[Problem, ...]) -> None:
        super().__init__(path, problems)
        self.path, self.problems = path, problems

    def __str__(self) -> str:
        return "\n".join(f"{self.path}:{problem.line}:{problem.column}: {problem.text}" for problem in self.problems)


@dataclass
class Document:
    """A file's content as plain data, and its nodes by their way from the root."""

    path: str
    data: object = None
    lines: list[str] = field(default_factory=list)
    keys: dict[Loc, yaml.Node] = field(default_factory=dict)
    values: dict[Loc, yaml.Node] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def wrong(self, loc: Loc, text: str, *, at_key: bool = False) -> None:
        """Note a problem of what stands at `loc`, or of the nearest thing around it that the file holds."""
        nodes = self.keys if at_key and loc in self.keys else self.values
        while loc not in nodes:
            loc = loc[:-1]
        mark = nodes[loc].start_mark
        self.problems.append(Problem(mark.line + 1, mark.column + 1, text))

    def wrong_within(self, loc: Loc, line: int, column: int, text: str) -> None:
        """Note a problem at a line and column, from 1, of the text that stands at `loc`; of folded text only where it begins is known."""
        node = self.values[loc]
        at, first = node.start_mark, line == 1
        style = node.style if isinstance(node, yaml.ScalarNode) else None
        if style == "|":
            content = self.lines[at.line + 1 :]
            indent = next((len(each) - len(each.lstrip(" ")) for each in content if each.strip()), 0)
            self.problems.append(Problem(at.line + 1 + line, indent + column, text))
        elif style != ">" and first and node.end_mark.line == at.line:
            self.problems.append(Problem(at.line + 1, at.column + (1 if style else 0) + column, text))
        else:
            self.wrong(loc, text)

    def refuse_problems(self) -> None:
        """Raise RulebookInvalid if anything was noted."""
        if self.problems:
            raise self._refusal()

    def _refusal(self) -> RulebookInvalid:
        return RulebookInvalid(self.path, tuple(sorted(set(self.problems))))

    def validated(self, model: type[Model]) -> Model:
        """Return the content as a model; RulebookInvalid with every place that does not fit it."""
        try:
            return model.model_validate(self.data)
        except ValidationError as error:
            for part in error.errors(include_url=False, include_input=False):
                at_key = part["type"] in ("extra_forbidden", "string_pattern_mismatch")
                loc = tuple(each for each in part["loc"] if each != "[key]")
                name = f"{loc[-1]}: " if loc else ""
                said = "is no word that is known here" if part["type"] == "extra_forbidden" else part["msg"].removeprefix("Value error, ")
                self.wrong(loc, f"{name}{said}", at_key=at_key)
            raise self._refusal() from None


def read_document(path: Path) -> Document:
    """Read a YAML file of plain data; RulebookInvalid where it is none, or where a key stands twice."""
    document = Document(str(path))
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _refused(path, f"is larger than {MAX_BYTES // 1024} KiB")
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except OSError as error:
        raise _refused(path, f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _refused(path, "is not UTF-8: save it again as UTF-8") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise _refused(path, error.problem or "is not YAML", (mark.line + 1, mark.column + 1) if mark else (1, 1)) from None
    except (yaml.YAMLError, RecursionError):
        raise _refused(path, "is not YAML: a character that no text holds, or brackets without end") from None
    if root is None:
        raise _refused(path, "is empty")
    document.lines = text.splitlines()
    document.data = _Reading(document).plain(root, ())
    document.refuse_problems()
    return document


def _refused(path: Path, text: str, at: tuple[int, int] = (1, 1)) -> RulebookInvalid:
    return RulebookInvalid(str(path), (Problem(*at, text),))


class _Reading:
    def __init__(self, into: Document) -> None:
        self._into, self._seen = into, set[int]()
        self._words = yaml.constructor.SafeConstructor()

    def plain(self, node: yaml.Node, loc: Loc) -> object:
        self._into.values[loc] = node
        if id(node) in self._seen:
            self._into.wrong(loc, "an alias (*name) is not allowed here: write it out")
            return None
        self._seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node.value, loc)
        if isinstance(node, yaml.SequenceNode):
            return tuple(self.plain(each, (*loc, index)) for index, each in enumerate(node.value))
        try:
            return self._words.construct_object(node)
        except (yaml.YAMLError, ValueError):
            self._into.wrong(loc, "is no text, number or date: put quotes round it")
            return None

    def _mapping(self, pairs: Iterable[tuple[yaml.Node, yaml.Node]], loc: Loc) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, value in pairs:
            if key.tag != "tag:yaml.org,2002:str" or not isinstance(key.value, str):
                self._into.keys[(*loc, "?")] = key
                self._into.wrong((*loc, "?"), "a key must be text: put quotes round it", at_key=True)
                continue
            where = (*loc, key.value)
            twice = key.value in found
            self._into.keys[where] = key
            if twice:
                self._into.wrong(where, f"{key.value} stands here twice", at_key=True)
            found[key.value] = self.plain(value, where)
        return found
