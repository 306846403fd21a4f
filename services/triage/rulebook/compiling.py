"""From a rulebook's text to expressions whose types were checked. What is wrong is noted with its place, all of it at once."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cel_expr_python import cel
from cel_expr_python.ext.ext_strings import ExtStrings

from contracts.vocabulary import Priority
from services.triage.recording import KNOWN_LEADS
from services.triage.rulebook.document import Document, Loc
from services.triage.rulebook.functions import declared
from services.triage.rulebook.measured import GROUPS, LEADS, PER_LEAD, TYPES
from services.triage.rulebook.schema import Book, Evidence, Rule

_GIVEN = {"group": LEADS, "lead": cel.Type.STRING}  # bound by the engine, and no rulebook's to define
_PLACE = re.compile(r"(?:ERROR: )?<input>:(\d+):(\d+): ([^\n]*)")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LEAD = re.compile(r"['\"](" + "|".join(KNOWN_LEADS) + r")['\"]")
_OF_A_LEAD = re.compile(r"(\w+)\[" + _LEAD.pattern + r"\]")
_HOLE = re.compile(r"\{([^{}]*)\}")
_Types = dict[str, cel.Type]


@dataclass(frozen=True)
class Mentions:
    """What an expression names, itself or by way of a named one: measurements, thresholds, definitions; leads; and values of one lead."""

    words: frozenset[str] = frozenset()
    leads: frozenset[str] = frozenset()
    of_a_lead: frozenset[tuple[str, str]] = frozenset()

    def __or__(self, other: "Mentions") -> "Mentions":
        return Mentions(self.words | other.words, self.leads | other.leads, self.of_a_lead | other.of_a_lead)


@dataclass(frozen=True)
class Expression:
    checked: cel.Expression
    gives: cel.Type
    asks: tuple[str, ...]  # the names in it that must have a value; handing over those alone halves the time that it takes
    mentions: Mentions


@dataclass(frozen=True)
class Shown:
    """Evidence, ready to be measured."""

    text: Evidence
    each: Expression | None
    when: Expression | None
    measured: Expression


@dataclass(frozen=True)
class CheckedRule:
    text: Rule
    groups: Expression | None  # of one group where the rule has `over`
    let: Mapping[str, Expression]
    when: Expression
    message: tuple[str | Expression, ...]
    evidence: tuple[Shown, ...]
    rests_on: frozenset[str]  # every name, by whatever way


@dataclass(frozen=True)
class Checked:
    territories: Mapping[str, list[str]]
    let: Mapping[str, Expression]
    gates: Mapping[str, Expression]
    rules: Mapping[str, CheckedRule]


def check_expressions(book: Book, document: Document) -> Checked:
    """Return the book's expressions; RulebookInvalid with every one that does not compile or gives another type than its place needs."""
    bench = _Bench(book, document)
    bench.name_thresholds_and_territories()
    let = bench.definitions(book.let, ("let",))
    gates: dict[str, Expression] = {}
    for name, gate in book.gates.items():
        if (found := bench.expression(gate.when, ("gates", name, "when"), cel.Type.BOOL)) is not None:
            gates[name] = found
            bench.define(name, found, ("gates", name))
    rules = {name: rule for name, text in book.rules.items() if (rule := _rule(bench.copy(), name, text)) is not None}
    _check_names(book, document)
    document.refuse_problems()
    return Checked({name: list(leads) for name, leads in book.territories.items()}, let, gates, rules)


def _rule(bench: "_Bench", name: str, rule: Rule) -> CheckedRule | None:
    at: Loc = ("rules", name)
    groups = None
    if rule.each is not None:
        groups = bench.expression(rule.each, (*at, "each"), GROUPS)
    elif rule.over is not None:
        groups = bench.expression(rule.over, (*at, "over"), LEADS)
    if groups is not None:
        bench.define("group", groups, at, gives=LEADS)
    let = bench.definitions(rule.let, (*at, "let"))
    when = bench.expression(rule.when, (*at, "when"), cel.Type.BOOL)
    message = bench.template(rule.message, (*at, "message"))
    evidence = tuple(bench.copy().evidence(each, (*at, "evidence", index)) for index, each in enumerate(rule.evidence))
    if when is None:
        return None  # noted; nothing of the book is used
    shown = tuple(each for each in evidence if each is not None)
    used = [when, groups, *let.values(), *(part for part in message if isinstance(part, Expression))]
    used += [part for each in shown for part in (each.each, each.when, each.measured)]
    words = frozenset().union(*(part.mentions.words for part in used if part is not None), *(bench.words(gate) for gate in rule.unless))
    return CheckedRule(rule, groups, let, when, message, shown, words | {each.against for each in rule.evidence})


def _check_names(book: Book, document: Document) -> None:
    for name, rule in book.rules.items():
        for key, named, known in (("unless", rule.unless, set(book.gates)), ("supersedes", rule.supersedes, set(book.rules) - {name})):
            for index, each in enumerate(named):
                if each not in known:
                    document.wrong(("rules", name, key, index), f"{each} is not there: {', '.join(sorted(known)) or 'there is none'}")
    for name, index, text in lost_findings(book):
        document.wrong(("rules", name, "supersedes", index), text)


def lost_findings(book: Book) -> Iterator[tuple[str, int, str]]:
    """Yield where a finding could be put aside with no finding as urgent left in its place: the rule, the index in its `supersedes`, and why."""
    for name, rule in book.rules.items():
        for index, other in enumerate(rule.supersedes):
            if other not in book.rules:
                continue
            if rule.priority is Priority.YELLOW and book.rules[other].priority is Priority.RED:
                yield name, index, f"{name} is yellow and may not put the red {other} aside"
            if name in _superseded_by(other, book):
                yield name, index, f"{name} and {other} put each other aside: both would be lost"


def _superseded_by(name: str, book: Book) -> set[str]:
    """Return every rule that a rule puts aside, itself or by way of others."""
    found: set[str] = set()
    ahead = [name]
    while ahead:
        new = [other for other in book.rules[ahead.pop()].supersedes if other in book.rules and other not in found]
        found.update(new)
        ahead.extend(new)
    return found


class _Bench:
    """The names that an expression may use so far, with their types and what they stand on."""

    def __init__(self, book: Book, document: Document, types: _Types | None = None, stands_on: dict[str, Mentions] | None = None) -> None:
        self._book, self._document = book, document
        self._types = dict(TYPES) if types is None else dict(types)
        self._stands_on = {name: Mentions(frozenset({name})) for name in TYPES} if stands_on is None else dict(stands_on)
        self._functions = declared(book.contiguity, book.territories)
        self._env: cel.Env | None = None

    def copy(self) -> "_Bench":
        return _Bench(self._book, self._document, self._types, self._stands_on)

    def name_thresholds_and_territories(self) -> None:
        for name, threshold in self._book.thresholds.items():
            self._add(name, PER_LEAD if threshold.per_lead else cel.Type.DOUBLE, Mentions(), ("thresholds", name))
        for name in self._book.territories:
            self._add(name, LEADS, Mentions(), ("territories", name))

    def definitions(self, named: Mapping[str, str], at: Loc) -> dict[str, Expression]:
        found: dict[str, Expression] = {}
        for name, text in named.items():
            if (each := self.expression(text, (*at, name))) is not None:
                found[name] = each
                self.define(name, each, (*at, name))
        return found

    def define(self, name: str, means: Expression, at: Loc, *, gives: cel.Type | None = None) -> None:
        self._add(name, means.gives if gives is None else gives, means.mentions, at)

    def _add(self, name: str, gives: cel.Type, stands_on: Mentions, at: Loc) -> None:
        if name in self._types or (name in _GIVEN and gives is not _GIVEN[name]):
            self._document.wrong(at, f"{name} already means something else: choose another name", at_key=True)
            return
        self._types[name], self._stands_on[name], self._env = gives, stands_on | Mentions(frozenset({name})), None

    def expression(self, text: str, at: Loc, gives: cel.Type | None = None, *, column: int = 0) -> Expression | None:
        """Return a checked expression; None where it was noted as wrong. `column` is where it begins in the text at `at`."""
        if self._env is None:
            self._env = cel.NewEnv(variables=self._types, functions=self._functions, extensions=[ExtStrings()])
        try:
            checked = self._env.compile(text)
        except RuntimeError as error:  # whatever is wrong with it, in words
            self._note(str(error), at, column)
            return None
        found = checked.return_type()
        if gives is not None and not gives.is_assignable_from(found):
            self._document.wrong_within(at, 1, column + 1, f"gives {found.name()}, and {gives.name()} is needed here")
            return None
        mentions = Mentions(leads=frozenset(_LEAD.findall(text)), of_a_lead=frozenset(_OF_A_LEAD.findall(text)))
        asks = tuple(sorted(self._types.keys() & set(_WORD.findall(text))))
        for name in asks:
            mentions |= self._stands_on[name]
        return Expression(checked, found, asks, mentions)

    def words(self, name: str) -> frozenset[str]:
        return self._stands_on.get(name, Mentions()).words

    def template(self, text: str, at: Loc) -> tuple[str | Expression, ...]:
        """Return a message's plain parts and its expressions, which stand in braces and give text."""
        parts: list[str | Expression] = []
        for index, part in enumerate(_HOLE.split(text)):
            if index % 2 == 0:
                parts.append(part)
                if set(part) & set("{}"):
                    self._document.wrong(at, "a brace is not closed, or not opened")
            elif (found := self.expression(part, at, cel.Type.STRING, column=text.index("{" + part + "}") + 1)) is not None:
                parts.append(found)
        return tuple(parts)

    def evidence(self, text: Evidence, at: Loc) -> Shown | None:
        each = None if text.each is None else self.expression(text.each, (*at, "each"), LEADS)
        if each is not None:
            self._add("lead", cel.Type.STRING, each.mentions, at)
        when = None if text.when is None else self.expression(text.when, (*at, "when"), cel.Type.BOOL)
        measured = self.expression(text.measured, (*at, "measured"), cel.Type.DOUBLE)
        threshold = self._book.thresholds.get(text.against)
        if threshold is None:
            self._document.wrong((*at, "against"), f"there is no threshold {text.against}: {', '.join(self._book.thresholds)}")
        elif threshold.per_lead and text.each is None:
            self._document.wrong((*at, "against"), f"{text.against} depends on the lead: say with `each` which leads are shown")
        return None if measured is None else Shown(text, each, when, measured)

    def _note(self, said: str, at: Loc, column: int) -> None:
        places = _PLACE.findall(said)
        for line, found_at, text in places:
            self._document.wrong_within(at, int(line), int(found_at) + (column if line == "1" else 0), _in_plain_words(text))
        if not places:
            self._document.wrong(at, said.splitlines()[0] if said else "cannot be compiled")


def _in_plain_words(said: str) -> str:
    plain = said.replace(" (in container '')", "").replace(" [INVALID_ARGUMENT]", "").strip()
    return f"{plain}; a measured number is compared with 1.0, not with 1" if "(double, int)" in plain or "(int, double)" in plain else plain
