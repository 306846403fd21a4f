"""What stands on the reading list: what nobody has read, as long as somebody is to."""

from datetime import timedelta

from contracts.cases import CaseClosed, ReadingDone, ReadingListed, ReadingOverdue
from services.console.projection import Facts
from services.console.readings import may_still_come, reading_view
from tests.unit.console.life import Life
from tests.unit.console.test_life import HEARD, later

LIFE = Life()
READ_BY = LIFE.start + timedelta(hours=1)
OF_UPLOAD = {"upload_id": LIFE.first, "clinic_id": "clinic", "centre_id": "centre", "headline": "AV block II", "received_at": LIFE.start}
LISTED = later(ReadingListed, 900, **OF_UPLOAD, read_by=READ_BY)
OVERDUE = later(ReadingOverdue, 901, upload_id=LIFE.first)
CLOSED = later(CaseClosed, 902, by="ann", outcome="admitted")
AGAIN = later(ReadingListed, 903, **OF_UPLOAD, read_by=READ_BY + timedelta(hours=2))
DONE = later(ReadingDone, 904, upload_id=LIFE.first, by="ann")


def facts(*events) -> Facts:
    return {fact.event_id: fact for fact, _ in (*HEARD[: LIFE.until("CaseOpened")], *events)}


def test_what_was_not_read_in_time_is_let_go_with_its_case_and_stands_there_anew_where_it_is_listed_again():
    assert reading_view(facts(LISTED, OVERDUE), LIFE.first, {}).overdue
    let_go, anew = facts(LISTED, OVERDUE, CLOSED), facts(LISTED, OVERDUE, CLOSED, AGAIN)
    assert reading_view(let_go, LIFE.first, {}) is None
    assert [may_still_come(each, LIFE.first) for each in (facts(LISTED, OVERDUE), let_go, anew, {})] == [True, False, True, False]
    shown = reading_view(anew, LIFE.first, {})
    assert (shown.overdue, shown.read_by) == (False, READ_BY + timedelta(hours=2))


def test_what_was_read_is_not_listed_and_does_not_come_back():
    assert reading_view(facts(LISTED, DONE), LIFE.first, {}) is None
    assert not may_still_come(facts(LISTED, DONE), LIFE.first)
