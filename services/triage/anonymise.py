"""What may leave the decoder about a person: an age, a sex, and those of the cart's statements that name nobody."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from itertools import islice, pairwise

from contracts.assessments import MAX_STATEMENT_CHARACTERS, MAX_STATEMENTS
from contracts.vocabulary import Sex

OLDEST_Y = 110  # a birth date that makes somebody older is a placeholder such as 1900-01-01
CONTRADICTION_Y = 10  # a printed age and a birth date this far apart do not describe one person
_MOST_READ = 400  # statements; what is looked at is bounded, so that a file cannot buy time with words
_MOST_CHARACTERS = 2 * MAX_STATEMENT_CHARACTERS  # of one: a name that the cut would halve is still seen whole
_LONGEST_RUN = 40  # characters of names run into one
_MOST_NAMES = 400  # a file that gives more cannot be compared with: none of its statements leaves

_CJK = r"\u3400-\u9fff\U00020000-\U0003ffff"
_CJK_RUN = re.compile(f"[{_CJK}]+")
_PIECE = re.compile(r"[^\W_]+")
_LETTERS = re.compile(r"[^\W\d_]+")
_SPELT_OUT = re.compile(  # a statement that says who did something names a person, whoever it is
    r"\b(referred|confirmed|reviewed|overread|edited|signed|interpreted|acquired|requested|ordered)\s+by\b"
    r"|\bdr\.|\bpatient name\b|医师|医生|姓名|签名|审核"
)
_LONG_NUMBER = re.compile(r"\d{11,}|\b1\d\d[ -]\d{4}[ -]\d{4}\b")  # a telephone or an identity card; a SNOMED code is shorter


@dataclass(frozen=True)
class _Identity:
    """What a file says of its people, made comparable."""

    anywhere: frozenset[str]  # Chinese names, and whole numbers: may not occur at all
    words: frozenset[str]  # of three characters or more: may not be a word of a statement
    short: frozenset[str]  # of one or two letters: two of them may not stand together
    characters: frozenset[str]  # Chinese names of one character: the same


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
    """Return the statements that hold none of a file's names and numbers, each once, in their order, as many and as long as the contract admits.

    A Latin name counts by its words of three letters or more, and by any two of its words together, in either order, apart or run into one: a
    family name Li or Lv alone is no name, LI NA is. A Chinese name counts from two characters on (the given name alone too), also where the
    file keeps family and given name apart; a number by its characters from the third on."""
    given = tuple(islice(dict.fromkeys(identity), _MOST_NAMES + 1))
    if len(given) > _MOST_NAMES:
        return ()
    people = _parts(given)
    kept: dict[str, None] = {}
    for raw in islice(statements, _MOST_READ):
        statement = _readable(raw[:_MOST_CHARACTERS])
        if statement and not _names_somebody(statement, people):
            kept[statement[:MAX_STATEMENT_CHARACTERS].rstrip()] = None
            if len(kept) == MAX_STATEMENTS:
                break
    return tuple(kept)


def _readable(text: str) -> str:
    """Return the text in one line: control characters and broken ones are spaces, invisible ones are gone."""
    kinds = ((character, unicodedata.category(character)) for character in text)
    return " ".join("".join(" " if kind in ("Cc", "Cs") else character for character, kind in kinds if kind != "Cf").split())


def _comparable(text: str) -> str:
    """Return the text without case, accents and widths, with spaces around what is Chinese: carts write both without a gap."""
    plain = "".join(character for character in unicodedata.normalize("NFKD", _readable(text)) if not unicodedata.combining(character))
    return " ".join(_CJK_RUN.sub(r" \g<0> ", plain.casefold().replace("_", " ")).split())


def _names_somebody(statement: str, people: _Identity) -> bool:
    text = _comparable(statement)
    if _SPELT_OUT.search(text) or _LONG_NUMBER.search(text) or any(name in text for name in people.anywhere):
        return True
    pieces = _PIECE.findall(text)
    if not people.words.isdisjoint(pieces) or any(_run_together(piece, people) for piece in pieces):
        return True
    if any(_both_short(first, second, people.short) for first, second in pairwise(pieces)):
        return True
    return any(first in people.characters and second in people.characters for first, second in pairwise("".join(pieces)))


def _both_short(first: str, second: str, short: frozenset[str]) -> bool:
    return first in short and second in short and len(first) + len(second) > 2  # two initials are no name: A-V block


def _run_together(piece: str, people: _Identity) -> bool:
    """True where the piece is made of name words of two letters or more, two at least."""
    if not 4 <= len(piece) <= _LONGEST_RUN:
        return False
    words = people.words | people.short
    reached = {0}
    for end in range(2, len(piece) + 1):
        if any(start in reached and piece[start:end] in words for start in range(end - 1)):
            reached.add(end)
    return len(piece) in reached


def _parts(identity: Iterable[str]) -> _Identity:
    anywhere, words, short, characters = set[str](), set[str](), set[str](), set[str]()
    for text in identity:
        whole = _comparable(text[:_MOST_CHARACTERS])
        for word in _LETTERS.findall(whole):
            if not _CJK_RUN.match(word):
                (words if len(word) >= 3 else short).add(word)
            elif len(word) == 1:
                characters.add(word)
            else:
                anywhere.update(part for part in (word, word[1:], word[2:]) if len(part) >= 2)
        if any(character.isdigit() for character in whole) and len(whole) >= 3:
            anywhere.add(whole)
            words.update(part for part in _PIECE.findall(whole) if len(part) >= 3)
    return _Identity(frozenset(anywhere), frozenset(words), frozenset(short), frozenset(characters))
