"""What other people wrote, so that it does nothing to a terminal and forges no line of what is shown around it."""

import unicodedata

_ACTS = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # controls, also of the order in which is read; halves of a character; what ends a line to some
_KEPT = "\n\t\u200c\u200d"  # joiners belong to how a word is written


def harmless(text: str) -> str:
    """Return text without the characters that act instead of being read; its lines stay."""
    return "".join(each for each in text if each in _KEPT or unicodedata.category(each) not in _ACTS)


def one_line(text: str) -> str:
    """Return text as one line of what can be read."""
    return " ".join(harmless(" ".join(text.split())).split())
