"""What may leave the decoder about a person: an age, a sex, and those of the cart's statements that name nobody."""

import re
from collections.abc import Iterable
from datetime import date
from itertools import islice

from contracts.vocabulary import Sex

OLDEST_Y = 110  # a birth date that makes somebody older is a placeholder such as 1900-01-01
CONTRADICTION_Y = 10  # a printed age and a birth date this far apart do not describe one person
_MAX_STATEMENTS = 60
_MAX_STATEMENT_CHARACTERS = 300

_WORD = re.compile(r"[^\W\d_]+")
_CJK = re.compile(r"[\u3400-\u9fff]")
_SPELT_OUT = re.compile(  # a statement that says who did something names a person, whoever it is
    r"(?i)\b(referred|confirmed|reviewed|overread|edited|signed|interpreted|acquired|requested|ordered)\s+by\b"
    r"|\bdr\.|\bpatient name\b|医师|医生|姓名|签名|审核"
)
_LONG_NUMBER = re.compile(r"\d{11,}")  # a telephone or an identity card; a SNOMED code is shorter


def age_of(*, birth: date | None, acquired: date | None, printed_y: float | None) -> int | None:
    """Return the age in years, a birth date before a printed age; None where they are implausible or contradict each other."""
    plausible_printed_y = int(printed_y) if printed_y is not None and 0 <= printed_y <= OLDEST_Y else None
    if birth is None or acquired is None:
        return plausible_printed_y
    by_birth_y = acquired.year - birth.year - ((acquired.month, acquired.day) < (birth.month, birth.day))
    if not 0 <= by_birth_y <= OLDEST_Y:
        return None
    if plausible_printed_y is not None and abs(by_birth_y - plausible_printed_y) > CONTRADICTION_Y:
        return None
    return by_birth_y


def sex_of(text: str) -> Sex | None:
    return {"m": Sex.MALE, "male": Sex.MALE, "f": Sex.FEMALE, "female": Sex.FEMALE}.get(text.strip().lower())


def without_identity(statements: Iterable[str], identity: Iterable[str]) -> tuple[str, ...]:
    """Return the statements that hold none of a file's names and numbers, each once, in their order.

    A Latin name counts by its words of three letters or more, a Chinese one from two characters on (the given name alone too), a number
    by its characters from the third on."""
    names, words = _parts(identity)
    kept: dict[str, None] = {}
    for raw in islice(statements, _MAX_STATEMENTS):
        statement = " ".join(raw.split())[:_MAX_STATEMENT_CHARACTERS]
        if statement and not _names_somebody(statement, names, words):
            kept[statement] = None
    return tuple(kept)


def _names_somebody(statement: str, names: frozenset[str], words: frozenset[str]) -> bool:
    if _SPELT_OUT.search(statement) or _LONG_NUMBER.search(statement):
        return True
    lowered = statement.lower()
    return any(name in lowered for name in names) or not words.isdisjoint(re.findall(r"\w+", lowered))


def _parts(identity: Iterable[str]) -> tuple[frozenset[str], frozenset[str]]:
    """Return what may not occur anywhere in a statement, and what may not be one of its words."""
    names, words = set[str](), set[str]()
    for text in identity:
        whole = " ".join(text.split()).lower()
        for word in _WORD.findall(whole):
            if _CJK.search(word):
                names.update(part for part in (word, word[1:], word[2:]) if len(part) >= 2)
            elif len(word) >= 3:
                words.add(word)
        if any(character.isdigit() for character in whole) and len(whole) >= 3:
            names.add(whole)
            words.update(part for part in re.findall(r"\w+", whole) if len(part) >= 3)
    return frozenset(names), frozenset(words)
