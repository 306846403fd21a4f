"""What a child said before it ended, short enough for a sentence on the terminal."""

from pathlib import Path

READ_BYTES = 8192
LINES, CHARACTERS = 3, 300


def last_words(log: Path) -> str:
    """Return the last lines of a log in one line, without the places of a Java stack trace."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - READ_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        text = ""
    except OSError as error:  # the death is told all the same
        return f"(not to be read: {error.strerror})"
    told = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith(("at ", "... "))]
    return " | ".join(told[-LINES:])[-CHARACTERS:] or "it said nothing"
