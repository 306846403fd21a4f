"""A rulebook from its file: read, checked, compiled, and its examples run. One whose example fails does not load."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from contracts.vocabulary import Sex
from services.triage.rulebook.compiling import check_expressions, lost_findings
from services.triage.rulebook.document import Document, Loc, read_document
from services.triage.rulebook.engine import Judgement, Rulebook, apply
from services.triage.rulebook.measured import TYPES, Measured
from services.triage.rulebook.schema import Book, Example, Profile
from services.triage.rulebook.thresholds import Resolved, resolve

_FACES = 256  # ages times sexes that a process meets
_measured = TypeAdapter(Measured)


def load(path: Path, profile: Path | None = None) -> Rulebook:
    """Return the rulebook of a file, changed by a region's profile where one is given.

    Raises RulebookInvalid with line and column of all that is wrong. The examples are run before the profile changes what they rest on."""
    document = read_document(path)
    book = document.validated(Book)
    rulebook = _compiled(book, document)
    _run_examples(rulebook, document)
    return rulebook if profile is None else _changed(rulebook, document, profile)


def _compiled(book: Book, document: Document) -> Rulebook:
    checked = check_expressions(book, document)

    @lru_cache(maxsize=_FACES)
    def resolved(age_y: int | None, sex: Sex | None) -> Resolved:
        return resolve(book.thresholds, age_y=age_y, sex=sex)

    return Rulebook(book.id, book.version, book, checked, resolved)


def _changed(rulebook: Rulebook, document: Document, path: Path) -> Rulebook:
    """Return the rulebook with a profile's thresholds and priorities; what the profile names must be there."""
    changes = read_document(path)
    profile, book = changes.validated(Profile), rulebook.text
    if profile.rulebook != book.id:
        changes.wrong(("rulebook",), f"is a profile of {profile.rulebook}, and this rulebook is {book.id}")
    for section, named, known in (("thresholds", profile.thresholds, book.thresholds), ("rules", profile.rules, book.rules)):
        for name in named:
            if name not in known:
                changes.wrong((section, name), f"{name} is not in the rulebook: {', '.join(known)}", at_key=True)
    for name, threshold in profile.thresholds.items():
        if name in book.thresholds and threshold.per_lead is not book.thresholds[name].per_lead:
            changes.wrong(("thresholds", name), f"{name} must depend on the lead here just as it does in the rulebook", at_key=True)
    changes.refuse_problems()
    rules = {
        name: rule.model_copy(update={"priority": profile.rules[name].priority}) if name in profile.rules else rule
        for name, rule in book.rules.items()
    }
    version = f"{book.version}+{profile.id} {profile.version}"
    changed = book.model_copy(update={"thresholds": book.thresholds | profile.thresholds, "rules": rules, "version": version})
    for _, _, text in lost_findings(changed):
        changes.wrong(("rules",), text, at_key=True)
    changes.refuse_problems()
    return _compiled(changed, document)


def _run_examples(rulebook: Rulebook, document: Document) -> None:
    for name, rule in rulebook.text.rules.items():
        for index, example in enumerate(rule.examples):
            at: Loc = ("rules", name, "examples", index)
            measured = _as_measured(rulebook.text.normal, example.given, document, (*at, "given"))
            if measured is not None and (wrong := _disagreement(name, example, apply(rulebook, measured))):
                document.wrong(at, f"the example fails: {name} {wrong}")
    document.refuse_problems()


def _disagreement(name: str, example: Example, judgement: Judgement) -> str:
    """Return in words where a judgement is not what the example expects; '' where it is."""
    findings = [finding for finding in judgement.findings if finding.rule == name]
    lacked = next((each.lacked for each in judgement.not_judged if each.name == name), ())
    came = "fires" if findings else "not judged" if lacked else "silent"
    if came != example.expect:
        return f"should be '{example.expect}' and is '{came}'" + (f", for want of {', '.join(lacked)}" if lacked else "")
    leads = [finding.leads for finding in findings]
    if example.leads is not None and example.leads not in leads:
        return f"should be found in {', '.join(example.leads)} and is found in {'; '.join(map(', '.join, leads))}"
    return ""


def _as_measured(normal: Mapping[str, object], given: Mapping[str, object], document: Document, at: Loc) -> Measured | None:
    """Return an example's measurements: what it gives, over what the file calls normal; a lead that is null is taken away."""
    known = TYPES.keys() - {"leads"}
    for loc, named in ((("normal",), normal), (at, given)):
        for name in named.keys() - known:
            document.wrong((*loc, name), f"{name} is not measured: {', '.join(sorted(known))}", at_key=True)
    whole: dict[str, object] = {}
    for name in known & (normal.keys() | given.keys()):
        usual, own = normal.get(name), given.get(name, normal.get(name))
        merged = usual | own if isinstance(usual, dict) and isinstance(own, dict) else own
        whole[name] = {lead: mv for lead, mv in merged.items() if mv is not None} if isinstance(merged, dict) else merged
    try:
        return _measured.validate_python(whole)
    except ValidationError as error:
        for part in error.errors(include_url=False, include_input=False):
            document.wrong((*at, *part["loc"]), f"{'.'.join(map(str, part['loc']))}: {part['msg']}")
        return None
