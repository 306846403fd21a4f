"""What people see of a case on its whole road: phases, clocks, who has it, each figure with its event; and what the clinic sees."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.cases import CaseEvent, CaseOpened, CaseRaised, Confirmed, HandOverDeclined, PageReason, StoodDown
from contracts.ids import EventId
from contracts.topics import CASES
from contracts.vocabulary import Diagnosis, Priority
from services.console.projection import Fact, Place, places_of
from services.console.views import CaseView, case_view, upload_view
from services.console.words import Told, in_snake_case, line_for_clinic, line_of
from tests.contract.instances import instances
from tests.unit.console.life import Life

LIFE = Life()
HEARD = LIFE.heard()


def view(heard: Sequence[tuple[Fact, Told]] = HEARD) -> CaseView | None:
    facts = {fact.event_id: fact for fact, event in heard if any(place.of == "case" for place in places_of(event))}
    return case_view(facts, {}, {}, cut=False)


def after(kind: str) -> CaseView:
    """Return the case as it is shown up to the last event of a kind."""
    shown = view(HEARD[: LIFE.until(kind)])
    assert shown is not None
    return shown


@given(st.permutations(HEARD))
def test_facts_in_any_order_show_the_same_road(order):
    assert view(order) == view()


@given(st.lists(st.sampled_from(HEARD), unique_by=lambda each: each[0].event_id))
def test_any_part_of_the_road_can_be_shown_and_names_only_what_is_known(part):
    shown = view(part)
    known = {fact.event_id for fact, _ in part}
    assert shown is None or set(shown.sources.values()) <= known
    assert shown is None or {clock.event_id for clock in shown.clocks} <= known


@pytest.mark.parametrize(
    ("kind", "phase", "owner"),
    [
        ("CaseOpened", "opened", None),
        ("OwnerReleased", "opened", None),
        ("HandOverExpired", "acknowledged", "ann"),
        ("TakenOver", "acknowledged", "bob"),
        ("HandOverAccepted", "acknowledged", "ann"),
        ("Confirmed", "confirmed", "ann"),
        ("ActivationCancelled", "acknowledged", "ann"),
        ("LabActivated", "activated", "ann"),
        ("PatientDeparted", "departed", "ann"),
        ("PatientArrived", "arrived", "ann"),
        ("Treated", "treated", "ann"),
        ("CaseClosed", "closed", "ann"),
    ],
)
def test_each_event_leads_to_its_phase_and_owner(kind, phase, owner):
    shown = after(kind)
    assert (shown.phase, shown.owner) == (phase, owner)
    if kind not in {"HandOverExpired", "HandOverAccepted", "TakenOver"}:  # these change who has it, and no phase
        assert shown.sources["phase"] == HEARD[LIFE.until(kind) - 1][0].event_id


def test_a_case_that_is_past_the_lab_stays_there_when_the_lab_is_activated_again():
    lab = next(event for fact, event in HEARD if fact.type == "LabActivated")
    late = (HEARD[0][0].model_copy(update={"type": "LabActivated", "sequence": 999, "event_id": LIFE.press, "told": lab.model_dump_json()}), lab)
    shown = view([*HEARD[: LIFE.until("PatientDeparted")], late])
    assert shown is not None
    assert (shown.phase, shown.lab_centre) == ("departed", "elsewhere")


def later(kind: type[CaseEvent], sequence: int, **fields: object) -> tuple[Fact, Told]:
    """Return an event behind the whole road."""
    event = kind(at=LIFE.start + timedelta(hours=sequence), **LIFE.of_case, **fields)
    changed = {"type": kind.__name__, "at": event.at, "sequence": sequence, "told": event.model_dump_json(), "event_id": EventId(UUID(int=sequence))}
    return HEARD[0][0].model_copy(update=changed), event


def test_a_case_that_is_stood_down_says_why_and_one_that_is_raised_is_nobodys_again():
    stood_down = later(StoodDown, 900, by="ann", reason="early repolarisation")
    raised = later(CaseRaised, 901, upload_id=LIFE.first, priority=Priority.RED, headline="again")
    taken = HEARD[: LIFE.until("HandOverAccepted")]
    shown, again = view([*taken, stood_down]), view([*taken, stood_down, raised])
    assert (shown.phase, shown.owner, shown.stood_down_reason) == ("stood_down", "ann", "early repolarisation")
    assert shown.sources["stood_down_reason"] == shown.sources["phase"] == stood_down[0].event_id
    assert (again.phase, again.owner, again.headline, again.seen) == ("opened", None, "again", 901)


def test_a_case_that_is_opened_again_shows_the_figures_of_this_opening_alone():
    opened = next(event for fact, event in HEARD if fact.type == "CaseOpened")
    again = later(CaseOpened, 902, **opened.model_dump(exclude={"at", "case_id", "patient_key"}))
    shown = view([*HEARD, again])
    assert (shown.phase, shown.diagnosis, shown.strategy, shown.lab_centre, shown.outcome, shown.wire_min) == ("opened", *[None] * 5)
    assert not {"diagnosis", "strategy", "lab_centre", "outcome", "wire_min"} & set(shown.sources)
    assert [clock.name for clock in shown.clocks] == ["first_contact", "received", "opened"]


def test_the_wire_is_counted_from_first_contact_and_every_clock_names_its_event():
    shown = view()
    assert (shown.wire_min, shown.clocks_from) == (24.0, "first_contact")
    told = [(clock.name, clock.min_from_start, clock.what) for clock in shown.clocks]
    assert told == [
        ("first_contact", 0.0, None),
        ("received", 2.0, None),
        ("opened", 2.2, None),
        ("acknowledged", 5.5, None),
        ("confirmed", 10.5, None),
        ("activated", 10.6, None),
        ("departed", 10.8, None),
        ("arrived", 20.0, "lab"),
        ("treated", 24.0, "pci_wire"),
    ]
    kinds = {fact.event_id: fact.type for fact, _ in HEARD}
    by = [kinds[clock.event_id] for clock in shown.clocks]
    opened, rest = ["UploadAssessed", "CaseOpened", "CaseOpened"], ["Acknowledged", "Confirmed", "LabActivated"]
    assert by == [*opened, *rest, "PatientDeparted", "PatientArrived", "Treated"]
    assert kinds[shown.sources["wire_min"]] == "Treated"


def test_without_a_first_contact_minutes_count_from_the_receipt():
    fact, event = HEARD[0]
    unknown = event.model_copy(update={"first_contact_at": None})
    shown = view([(fact.model_copy(update={"told": unknown.model_dump_json()}), unknown), *HEARD[1:]])
    assert (shown.wire_min, shown.clocks_from) == (22.0, "received")


def test_every_figure_that_is_shown_names_its_event():
    shown = view()
    with_their_own = {"clocks", "strategy_proposed", "hand_over", "links", "alarms", "messages", "uploads", "timeline"}
    figures = {name for name in type(shown).model_fields if getattr(shown, name) is not None}
    assert set(shown.sources) == figures - with_their_own - {"case_id", "sources", "timeline_cut", "clinic"} | {"strategy_reason"}
    assert (shown.strategy_proposed.contact_to_wire_min, shown.strategy_proposed.contact_to_bolus_min) == (70, 25)
    assert (shown.strategy, shown.diagnosis, shown.referral_centre, shown.outcome) == ("primary_pci", "stemi", "elsewhere", "admitted")
    assert (shown.centre_id, shown.centre_number, shown.directory_version, shown.route_reason) == ("elsewhere", "555-0200", "7", "nearest with a lab")
    assert [link.other_case_id for link in shown.links] == [LIFE.other_case]
    assert [alarm.rosters for alarm in shown.alarms] == [("roster:night",)]


def test_a_hand_over_is_pending_until_it_is_taken_refused_or_late():
    offers = [index for index, (fact, _) in enumerate(HEARD) if fact.type == "HandOverOffered"]
    pending = [view(HEARD[: index + 1]).hand_over for index in offers]
    assert [(each.to_person, each.to_centre) for each in pending] == [(None, "elsewhere"), ("eve", None), ("ann", None)]
    assert [view(HEARD[: index + 2]).hand_over for index in offers] == [None, None, None]


def test_a_hand_over_is_still_pending_after_one_of_several_who_are_asked_declined():
    offered = next(index for index, (fact, _) in enumerate(HEARD) if fact.type == "HandOverOffered")
    declined = [later(HandOverDeclined, 900, by="eve", reason="in the lab", is_final=is_final) for is_final in (False, True)]
    assert [view([*HEARD[: offered + 1], each]).hand_over is not None for each in declined] == [True, False]


def test_what_does_not_hold_any_more_is_not_shown_and_names_no_event():
    cancelled = after("ActivationCancelled")
    stood_down = later(StoodDown, 900, by="ann", reason="early repolarisation")
    raised = later(CaseRaised, 901, upload_id=LIFE.first, priority=Priority.RED, headline="again")
    confirmed = later(Confirmed, 901, by="ann", diagnosis=Diagnosis.STEMI)
    taken = HEARD[: LIFE.until("ReferralAccepted")]
    over, again, resumed = view([*taken, stood_down]), view([*taken, stood_down, raised]), view([*taken, stood_down, confirmed])
    assert (cancelled.diagnosis, cancelled.lab_centre) == (None, None)
    assert (over.diagnosis, again.diagnosis, resumed.diagnosis) == (None, None, "stemi")
    assert (again.stood_down_reason, resumed.stood_down_reason) == (None, None)
    assert (again.strategy, again.strategy_proposed, again.referral_centre) == (None, None, None)
    assert (resumed.strategy, resumed.referral_centre) == ("primary_pci", "elsewhere")
    for shown in (cancelled, over, again, resumed):
        named = {"diagnosis", "lab_centre", "stood_down_reason", "strategy", "referral_centre"} & shown.sources.keys()
        assert all(getattr(shown, name) is not None for name in named)
        assert ("diagnosis" in shown.sources) is ("confirmed" in {clock.name for clock in shown.clocks})


def test_a_raise_that_the_owner_keeps_changes_what_it_is_open_for_and_nothing_else():
    kept = later(CaseRaised, 900, upload_id=LIFE.first, priority=Priority.RED, headline="again", kept_by="ann")
    before, shown = view(HEARD[: LIFE.until("LabActivated")]), view([*HEARD[: LIFE.until("LabActivated")], kept])
    assert (shown.phase, shown.owner, shown.diagnosis, shown.lab_centre) == ("activated", "ann", "stemi", "elsewhere")
    assert (shown.headline, shown.seen) == ("again", 900)
    changed = {"headline", "seen", "sources", "timeline"}
    assert shown.model_dump(exclude=changed) == before.model_dump(exclude=changed)


def test_a_case_is_listed_for_whoever_has_to_do_with_it_and_knows_whom_it_called():
    places = [(type(event).__name__, place) for _, event in HEARD for place in places_of(event)]
    assert {place.listed_at for _, place in places} == {None, "centre", "elsewhere"}
    assert {(kind, place.listed_for) for kind, place in places if place.listed_for} == {
        ("PageRequested", "ann"),
        ("Acknowledged", "ann"),
        ("TakenOver", "bob"),
        ("HandOverOffered", "eve"),
        ("HandOverOffered", "ann"),
        ("HandOverAccepted", "ann"),
    }
    assert {place.paged for _, place in places} == {None, "ann"}


@pytest.mark.parametrize(
    ("reason", "is_called"),
    [(reason, reason in {PageReason.STEP, PageReason.OWNER_SILENT, PageReason.REPEAT_ECG}) for reason in PageReason],
)
def test_who_is_asked_to_take_a_case_over_is_not_called_for_it(reason, is_called):
    page = next(event for fact, event in HEARD if fact.type == "PageRequested")
    [place] = places_of(page.model_copy(update={"reason": reason}))
    assert (place.paged is not None) is is_called


def clinic_sees(kind: str):
    heard = HEARD[: LIFE.until(kind)]
    of_upload = {fact.event_id: fact for fact, event in heard if Place("upload", LIFE.first) in places_of(event)}
    return upload_view(LIFE.first, of_upload, {fact.event_id: fact for fact, _ in heard})


def test_the_clinic_is_told_to_call_in_large_until_somebody_has_it_in_hand():
    assert clinic_sees("NoticeReached").call_now is None
    call = clinic_sees("ClinicToldToCall").call_now
    assert (call.number, call.text) == ("555-0100", "Call 555-0100 now.")
    assert clinic_sees("HandOverOffered").call_now is None
    assert clinic_sees("OwnerReleased").call_now == call


def test_the_clinic_sees_what_was_said_both_ways_and_not_by_whom():
    seen = clinic_sees("CaseClosed")
    assert [(each.kind, each.by, each.text) for each in seen.messages] == [
        ("said", "centre", "Aspirin 300 mg,\nticagrelor 180 mg."),
        ("said", "clinic", "Given."),
    ]
    lines = [entry.text for entry in seen.timeline if entry.type == "Said"]
    assert lines == ["the centre: Aspirin 300 mg, ticagrelor 180 mg.", "the clinic: Given."]
    assert seen.state == "closed"
    assert {clinic_sees(kind).state for kind in ("Confirmed", "PatientDeparted", "Treated")} == {"in_hand"}


def test_the_centre_sees_who_said_what():
    assert [(each.by, each.text) for each in view().messages] == [("ann", "Aspirin 300 mg,\nticagrelor 180 mg."), (None, "Given.")]


@pytest.mark.parametrize("kind", CASES.events)
@settings(max_examples=10)
@given(st.data())
def test_every_kind_of_event_has_a_line_without_the_patients_key(kind, data):
    event = kind.model_validate(data.draw(instances(kind.model_json_schema())))
    for line in (line_of(event), line_for_clinic(event)):
        assert line
        assert "\n" not in line
        assert event.patient_key not in line


def test_an_events_name_is_told_in_snake_case():
    assert [in_snake_case(each) for each in ("StoodDown", "Said", "HandOverOffered")] == ["stood_down", "said", "hand_over_offered"]
