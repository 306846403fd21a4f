"""The demo, as a newcomer types it."""

from pathlib import Path

from tests.e2e.terminal import greenchannel


def test_the_demo_shows_three_patients_on_their_road_and_ends_by_itself(tmp_path: Path):
    shown = greenchannel("demo", "--once", data=tmp_path / "data", timeout_s=150)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    for word in ("anterior STEMI", "unreadable file", "Acknowledged", "PageRequested", "3 of 3 came out right"):
        assert word in shown.stdout
