"""A part of the stack, or a service, is away for a while: nothing is lost, nothing is dead-lettered, and it goes on by itself.

The outage lasts GREENCHANNEL_OUTAGE_S seconds; `make faults` makes it two minutes."""

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.centre import Centre, Clinic, check_assessed_once, frozen, running, until

OUTAGE_S = float(os.environ.get("GREENCHANNEL_OUTAGE_S", "12"))
UNREAD_S = 60.0  # from its receipt on, after which a person is paged for what nobody read


@pytest.fixture(scope="module")
def own_centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Centre]:
    yield from running(tmp_path_factory.mktemp("outages"))


@contextmanager
def folder_gone(centre: Centre) -> Iterator[None]:
    blobs, elsewhere = centre.data / "blobs", centre.data / "elsewhere"
    blobs.rename(elsewhere)
    try:
        yield
    finally:
        elsewhere.rename(blobs)


AWAY = {
    "kafka": lambda centre: frozen(centre, "kafka"),
    "valkey": lambda centre: frozen(centre, "valkey"),
    "blobs": folder_gone,
    "notify": lambda centre: frozen(centre, "notify"),
}
REFUSES_MEANWHILE = {"kafka", "blobs"}  # the gateway does without the others


def check_each_page_went_out_once(centre: Centre, case_id: str) -> None:
    pages = Counter((page["person"], page["method"], page["round"]) for page in centre.paged(case_id, within_s=60))
    assert set(pages.values()) == {1}, pages  # one at least; of the rounds that an outage of notify leaves behind one goes out, whichever


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", AWAY)
def test_what_was_accepted_is_assessed_and_paged_once_the_part_is_back(own_centre: Centre, recordings: Path, part: str):
    content = (recordings / "vendor/philips-1.03/129DYNRG.XML").read_bytes()
    with Clinic(own_centre, content, per_s=2) as clinic:
        until(lambda: len(clinic.accepted) >= 4)
        with AWAY[part](own_centre):
            time.sleep(OUTAGE_S)
            during = len(clinic.accepted)
        until(lambda: len(clinic.accepted) >= during + 4, within_s=60, what="uploads accepted again")
    clinic.check_answers()
    assert bool(clinic.refused) == (part in REFUSES_MEANWHILE)
    until(own_centre.is_ready, within_s=60)
    for upload_id in clinic.upload_ids:
        assert own_centre.assessed(upload_id, within_s=60)["priority"] == "red"
        case_id = own_centre.case_of(upload_id, within_s=60)
        check_each_page_went_out_once(own_centre, case_id)
        own_centre.take_in_hand(case_id)
    check_assessed_once(own_centre, clinic.upload_ids)
    assert own_centre.dead_letters() == 0


@pytest.mark.timeout(600)
def test_while_triage_is_stopped_every_patient_has_a_person_paged_and_late_assessments_join_their_cases(own_centre: Centre, recordings: Path):
    """Uploads come until only the minute is left that the last of them is given; none of them is read before all are paged for."""
    content = (recordings / "vendor/philips-1.03/129DYNRG.XML").read_bytes()
    with frozen(own_centre, "triage-emergency", "triage-routine"):
        until_s = time.monotonic() + OUTAGE_S - UNREAD_S
        with Clinic(own_centre, content, per_s=2) as clinic:
            until(lambda: len(clinic.accepted) >= 6)
            time.sleep(max(0.0, until_s - time.monotonic()))
        routine = own_centre.send(recordings / "vendor/muse/synthetic_muse.xml", lane="routine", patient="campaign")
        waited_s = [own_centre.paged_after_s(told, within_s=UNREAD_S + 30) for told in clinic.accepted]
        cases = {upload_id: own_centre.case_of(upload_id) for upload_id in clinic.upload_ids}
        assert all("not read in time" in own_centre.pages(case_id)[0]["text"] for case_id in cases.values())
        assert all(own_centre.upload(upload_id)["assessment"] is None for upload_id in clinic.upload_ids)
    clinic.check_answers()
    assert clinic.refused == []
    assert min(waited_s) >= UNREAD_S, waited_s
    assert len(set(cases.values())) == len(cases)
    for upload_id, case_id in cases.items():
        until(lambda case_id=case_id: own_centre.case(case_id)["priority"] == "red", within_s=60)
        assert own_centre.case_of(upload_id) == case_id
        check_each_page_went_out_once(own_centre, case_id)
        own_centre.take_in_hand(case_id)
    own_centre.assessed(routine["upload_id"], within_s=60)
    check_assessed_once(own_centre, [*clinic.upload_ids, routine["upload_id"]])
    assert own_centre.dead_letters() == 0
