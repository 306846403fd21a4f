"""A checked rulebook applied to one recording's measurements. Pure: the same measurements give the same judgement."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cel_expr_python import cel

from contracts.assessments import Finding, Value
from contracts.vocabulary import Priority, Sex
from services.triage.rulebook.compiling import Checked, CheckedRule, Expression, Shown
from services.triage.rulebook.measured import TYPES, Measured, values
from services.triage.rulebook.schema import Book
from services.triage.rulebook.thresholds import Chosen, Resolved

_URGENCY = (Priority.RED, Priority.YELLOW)
_DIGITS = 3  # what is shown
_MOST_CHARACTERS = 200  # of a finding's title
_SOUGHT = re.compile(r'Key not found in map : "(\w+)"')

Scope = dict[str, object]


@dataclass(frozen=True)
class Rulebook:
    """A rulebook that was checked, for a process to keep. `resolved` gives the thresholds for an age and a sex, either of which may be unknown."""

    id: str
    version: str
    text: Book
    checked: Checked
    resolved: Callable[[int | None, Sex | None], Resolved]

    def rests_on(self, rule: str) -> frozenset[str]:
        """Return every name that a rule stands on: measurements, thresholds, definitions and gates, by whatever way."""
        return self.checked.rules[rule].rests_on


@dataclass(frozen=True)
class NotJudged:
    """A rule or gate that could not be decided, and what it lacked: 's_mv in V1', 'qrs_ms', 'V2'. priority is the rule's; None for a gate."""

    name: str
    lacked: tuple[str, ...]
    priority: Priority | None = None


@dataclass(frozen=True)
class Judgement:
    """Findings, the most urgent first and then in the rulebook's order; and what could be neither found nor ruled out."""

    findings: tuple[Finding, ...]
    not_judged: tuple[NotJudged, ...]


class _Unknown(Exception):
    """An expression has no value: something that it needs was not measured. args: what."""

    def __init__(self, lacked: tuple[str, ...]) -> None:
        super().__init__(lacked)
        self.lacked = lacked


def apply(rulebook: Rulebook, measured: Measured) -> Judgement:
    """Judge one recording. A rule that needs what was not measured is in `not_judged`, and never counts as silent."""
    resolved = rulebook.resolved(measured.age_y, measured.sex)
    scope: Scope = {**values(measured), **rulebook.checked.territories, **{name: _numbers(chosen) for name, chosen in resolved.items()}}
    _define(rulebook.checked.let, scope)
    not_judged: list[NotJudged] = []
    for name, gate in rulebook.checked.gates.items():
        try:
            scope[name] = _value(gate, scope)
        except _Unknown as unknown:
            scope[name] = False  # what is not known to hold silences nothing
            not_judged.append(NotJudged(name, unknown.lacked))
    found: dict[str, list[Finding]] = {}
    for name, rule in rulebook.checked.rules.items():
        if any(scope[gate] for gate in rule.text.unless):
            continue
        found[name], lacked = _findings(name, rule, scope, resolved)
        if lacked and not found[name]:
            not_judged.append(NotJudged(name, lacked, rule.text.priority))
    superseded = {other for name, findings in found.items() if findings for other in rulebook.checked.rules[name].text.supersedes}
    kept = [finding for name, findings in found.items() if name not in superseded for finding in findings]
    return Judgement(
        findings=tuple(sorted(kept, key=lambda finding: _URGENCY.index(finding.priority))),
        not_judged=tuple(each for each in not_judged if each.name not in superseded),
    )


def _findings(name: str, rule: CheckedRule, scope: Scope, resolved: Resolved) -> tuple[list[Finding], tuple[str, ...]]:
    """Return what a rule finds, and what it lacked."""
    found: list[Finding] = []
    lacked = tuple(lead for lead in rule.text.needs if lead not in _leads(scope["leads"]))
    try:
        for group in _groups(rule, scope):
            bound = scope if rule.groups is None else scope | {"group": group}
            if rule.let:
                bound = dict(bound)
                _define(rule.let, bound)
            try:
                fires = _value(rule.when, bound)
            except _Unknown as unknown:
                lacked += unknown.lacked
                continue
            if fires:
                found.append(_finding(name, rule, bound, resolved))
    except _Unknown as unknown:
        lacked += unknown.lacked
    return found, tuple(dict.fromkeys(lacked))


def _groups(rule: CheckedRule, scope: Scope) -> list[list[str]]:
    if rule.groups is None:
        return [[]]
    found = _value(rule.groups, scope)
    return found if rule.text.each is not None else [found]  # type: ignore[return-value, list-item]  # its CEL type was checked


def _finding(name: str, rule: CheckedRule, scope: Scope, resolved: Resolved) -> Finding:
    return Finding(
        rule=name,
        version=rule.text.version,
        source=rule.text.source,
        title=_message(rule, scope)[:_MOST_CHARACTERS],
        title_zh=rule.text.title.zh,
        priority=rule.text.priority,
        leads=tuple(_leads(scope["group"])) if rule.groups is not None else (),
        values=tuple(value for shown in rule.evidence for value in _shown(shown, scope, resolved)),
    )


def _message(rule: CheckedRule, scope: Scope) -> str:
    try:
        return "".join(part if isinstance(part, str) else str(_value(part, scope)) for part in rule.message)
    except _Unknown:  # what was found must be told all the same
        return rule.text.title.en


def _shown(shown: Shown, scope: Scope, resolved: Resolved) -> Iterator[Value]:
    """Yield measured values beside their thresholds; one that was not measured is not shown."""
    chosen = resolved[shown.text.against]
    for lead in _shown_in(shown, scope):
        bound = scope if lead is None else scope | {"lead": lead}
        try:
            if shown.when is not None and not _value(shown.when, bound):
                continue
            measured = _number(_value(shown.measured, bound))
        except _Unknown:
            continue
        if math.isfinite(measured):
            against = chosen if isinstance(chosen, Chosen) else chosen[lead or ""]
            why = shown.text.why or against.why
            yield Value(name=shown.text.name, lead=lead, measured=round(measured, _DIGITS), threshold=against.value, why=why)


def _shown_in(shown: Shown, scope: Scope) -> Sequence[str | None]:
    if shown.each is None:
        return (None,)
    try:
        return _leads(_value(shown.each, scope))
    except _Unknown:
        return ()


def _define(named: Mapping[str, Expression], scope: Scope) -> None:
    """Bind names to their values; one that has none stays unbound, and what uses it has none either."""
    for name, expression in named.items():
        try:
            scope[name] = _value(expression, scope)
        except _Unknown:
            continue


def _value(expression: Expression, scope: Scope) -> object:
    """Return an expression's value. CEL does not raise: an error is a value of its own type, and its text would count as true."""
    found = expression.checked.eval(data={name: scope[name] for name in expression.asks if name in scope})
    if found.type() == cel.Type.ERROR:
        raise _Unknown(_lacking(expression, scope, str(found.value())))
    return found.plain_value()


def _lacking(expression: Expression, scope: Scope, said: str) -> tuple[str, ...]:
    """Return what was not measured of what an expression names: the lead's own value where it names one, else every value that it could have
    used, else those of the lead that was looked for in vain; where none of this is so, what CEL said."""
    asked = sorted(expression.mentions.words & TYPES.keys())
    lacked = [name for name in asked if name not in scope]
    held = {name: value for name in asked if isinstance(value := scope.get(name), dict)}
    lacked += [f"{name} in {lead}" for name, lead in sorted(expression.mentions.of_a_lead) if name in held and lead not in held[name]]
    if not lacked:
        lacked = [f"{name} in {lead}" for name, by_lead in held.items() for lead in sorted(expression.mentions.leads - by_lead.keys())]
    if not lacked and (sought := _SOUGHT.search(said)):
        lacked = [f"{name} in {sought[1]}" for name, by_lead in held.items() if sought[1] not in by_lead]
    return tuple(lacked) or (said,)


def _numbers(chosen: Chosen | Mapping[str, Chosen]) -> object:
    return chosen.value if isinstance(chosen, Chosen) else {lead: each.value for lead, each in chosen.items()}


def _number(found: object) -> float:
    if not isinstance(found, float):
        raise TypeError(f"a number was checked for, and {type(found).__name__} came")
    return found


def _leads(found: object) -> list[str]:
    if not isinstance(found, list):
        raise TypeError(f"a list of leads was checked for, and {type(found).__name__} came")
    return found
