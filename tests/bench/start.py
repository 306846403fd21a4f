"""How long `up` takes to be ready: on a new folder, and on one that it has run on."""

import os
import time
from pathlib import Path

from services.local.jars import cache_folder, kafka_folder, missing_jars
from tests.bench.figures import Figure
from tests.e2e.centre import Centre

PART = "start"
AGAIN = 3
AIM_S = 10.0


def start(folder: Path) -> list[Figure]:
    """Start and stop a centre on a folder that is not there yet, and again."""
    downloads = bool(missing_jars(kafka_folder(cache_folder(os.environ))))
    first_s = _started_s(folder)
    figures = [Figure(PART, "first start", first_s, "s", note="with its download" if downloads else "the jars were there")]
    again = [_started_s(folder) for _ in range(AGAIN)]
    figures.append(Figure(PART, "second start", again[0], "s", aim=AIM_S))
    figures.append(Figure(PART, "the slowest of those after it", max(again[1:]), "s", aim=AIM_S))
    return figures


def _started_s(folder: Path) -> float:
    """Return how long it took from the command to the word that all is ready, as whoever typed it waits."""
    centre = _Watched(folder)
    begun_at = time.monotonic()
    centre.start()
    took_s = time.monotonic() - begun_at
    centre.stop()
    return took_s


class _Watched(Centre):
    """A centre whose readiness is read off its own words: asking six services all the time would slow what is measured."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._words = folder / "words.txt"
        self._known = self._words.stat().st_size if self._words.exists() else 0

    def _is_ready(self) -> bool:
        assert self.program is not None
        assert self.program.poll() is None, self._words.read_text()[-2000:]
        return b"ready in" in self._words.read_bytes()[self._known :]
