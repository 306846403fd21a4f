"""Promises that hold for every order of messages, repeats and crashes."""

from datetime import timedelta
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.assessments import Assessed
from contracts.cases import (
    Acknowledged,
    CaseClosed,
    CaseRaised,
    Confirmed,
    HandOverAccepted,
    HandOverDeclined,
    HandOverExpired,
    NoteRequested,
    OwnerReleased,
    PageReason,
    StoodDown,
    TakenOver,
    UploadAssessed,
)
from contracts.commands import (
    AcceptHandOver,
    AcceptReferral,
    ActivateLab,
    CancelActivation,
    CloseCase,
    Confirm,
    DeclineHandOver,
    FinishReading,
    OfferHandOver,
    RecordArrival,
    RecordDeparture,
    RecordTreatment,
    StandDown,
    TakeOver,
)
from contracts.ids import UploadId
from contracts.vocabulary import Arrival, Diagnosis, Lane, Outcome, Priority, Treatment
from services.cases.state import Case, Phase
from services.cases.timers import timers
from tests.unit.cases.case_world import (
    ALL,
    FIRST,
    MINUTE,
    SECOND,
    THIRD,
    World,
    acknowledge,
    asked,
    assessed,
    open_unread,
    page_again,
    pages,
    rebuilt,
    uploaded,
)

PEOPLE, UPLOADS = st.sampled_from(["ann", "bob", "dan"]), st.sampled_from([FIRST, SECOND])
COMMANDS = st.one_of(
    st.builds(partial(asked, Confirm), PEOPLE, diagnosis=st.sampled_from(Diagnosis), seen_sequence=st.just(ALL)),
    st.builds(partial(asked, StandDown), PEOPLE, reason=st.just("an artefact"), seen_sequence=st.sampled_from([2, ALL])),
    st.builds(partial(asked, OfferHandOver), PEOPLE, to_person=st.just("bob")),
    st.builds(partial(asked, OfferHandOver), PEOPLE, to_centre=st.just("city")),
    st.builds(partial(asked, TakeOver), PEOPLE, reason=st.just("mine")),
    st.builds(partial(asked, RecordTreatment), PEOPLE, treatment=st.sampled_from(Treatment)),
    st.builds(partial(asked, CloseCase), PEOPLE, outcome=st.sampled_from(Outcome)),
    st.builds(partial(asked, FinishReading), PEOPLE, upload_id=UPLOADS),
    st.builds(partial(asked, CancelActivation), PEOPLE, reason=st.just("ST came down")),
    st.builds(partial(asked, DeclineHandOver), PEOPLE, reason=st.just("in the lab")),
    st.builds(partial(asked, RecordArrival), PEOPLE, place=st.sampled_from(Arrival)),
    *(st.builds(partial(asked, command), PEOPLE) for command in (AcceptHandOver, AcceptReferral, ActivateLab, RecordDeparture)),
)
MESSAGES = st.one_of(
    COMMANDS,
    st.builds(uploaded, st.sampled_from([FIRST, SECOND])),
    st.builds(assessed, st.sampled_from(Priority), st.sampled_from([FIRST, SECOND]), st.sampled_from(Lane)),
    st.builds(acknowledge, st.sampled_from(["ann", "bob"])),
    st.builds(page_again, st.integers(1, 4)),
    st.builds(open_unread, st.sampled_from([FIRST, SECOND])),
    st.integers(0, 200).map(lambda seconds: timedelta(seconds=seconds)),
    st.just(timedelta(hours=1)),
)
SCRIPTS = st.lists(MESSAGES, max_size=12)

REDS = st.builds(assessed, st.sampled_from([Priority.RED, Priority.RED, Priority.NOT_EVALUABLE]), st.sampled_from([FIRST, SECOND, THIRD]))
LOOKED = st.builds(acknowledge, PEOPLE, seen=st.sampled_from([2, ALL]))
NEWS = st.lists(st.one_of(COMMANDS, COMMANDS, REDS, LOOKED, st.integers(0, 400).map(lambda seconds: timedelta(seconds=seconds))), max_size=15)
CONFIRMED = (assessed(Priority.RED), asked(Confirm, diagnosis=Diagnosis.STEMI, seen_sequence=ALL))
WAKES = ("again/", "remind/", "release/", "hand-over/")  # the timers by which a person is asked to look
OFFER_ENDS = (HandOverAccepted, HandOverDeclined, HandOverExpired, TakenOver, OwnerReleased, CaseRaised, StoodDown, CaseClosed)


def played(script) -> World:
    world = World()
    for number, step in enumerate(script):
        world.wait(step) if isinstance(step, timedelta) else world.hear(step, str(number))
    return world


@given(SCRIPTS)
def test_the_log_alone_gives_the_state_and_its_timers_back(script):
    world = played(script)
    again = rebuilt(world.log)
    assert again.model_dump_json() == world.case.model_dump_json()
    assert timers(again) == timers(world.case)


@given(SCRIPTS)
def test_a_case_in_json_is_the_same_case(script):
    case = played(script).case
    assert Case.model_validate_json(case.model_dump_json()) == case


@given(SCRIPTS)
def test_every_message_leaves_an_event_and_sequences_have_no_gap(script):
    world = World()
    for number, step in enumerate(script):
        if not isinstance(step, timedelta):
            assert world.hear(step, str(number))
    assert world.case.sequence == len(world.log)


@given(SCRIPTS)
def test_while_a_case_is_open_somebody_is_paged_within_the_next_minute(script):
    world = played(script)
    if world.case.phase is Phase.OPENED:
        round_ = world.case.round
        world.wait(MINUTE)
        assert world.case.round > round_


@given(SCRIPTS)
def test_an_upload_that_was_heard_of_is_judged_or_people_are_paged_within_a_minute(script):
    world = played(script)
    world.wait(MINUTE)
    assert not [upload for upload in world.case.uploads if upload.due_at is not None and upload.due_at <= world.now]


@given(SCRIPTS)
def test_a_page_never_goes_to_nobody_and_never_twice_under_one_id(script):
    asked = pages(played(script).log)
    assert len({page.notice_id for page in asked}) == len(asked)
    of_policy = [page for page in asked if page.reason is PageReason.STEP]
    rounds = {page.round for page in of_policy}
    assert all({page.person_id for page in of_policy if page.round == round_} in ({"ann", "bob"}, {"dan"}) for round_ in rounds)


@given(SCRIPTS)
def test_a_red_is_paged_at_once_and_as_a_red_whatever_was_decided_before(script):
    world = World()
    for number, step in enumerate(script):
        known = {upload.upload_id for upload in world.case.uploads if upload.priority is Priority.RED}
        events = world.wait(step) if isinstance(step, timedelta) else world.hear(step, str(number))
        if isinstance(step, Assessed) and step.priority is Priority.RED and step.upload_id not in known:
            assert {page.priority for page in pages(events)} == {Priority.RED}


@given(SCRIPTS)
def test_what_waits_for_its_owner_wakes_them_or_goes_on_without(script):
    world = played(script)
    if world.case.awaits_owner:
        before, offered = len(world.log), world.case.hand_over
        world.wait(5 * MINUTE if offered is None else 8 * MINUTE)  # once an offer has expired, their time counts anew
        assert not world.case.awaits_owner or pages(world.log[before:])


@settings(max_examples=400)
@given(NEWS)
def test_no_case_ends_or_waits_without_a_timer_while_it_holds_a_red_that_nobody_has_seen(script):
    world, unseen = World(), set[UploadId]()
    for number, step in enumerate((*CONFIRMED, assessed(Priority.RED, SECOND), *script)):
        reds = {upload.upload_id for upload in world.case.uploads if upload.priority is Priority.RED}
        events = world.wait(step) if isinstance(step, timedelta) else world.hear(step, str(number))
        unseen |= {event.upload_id for event in events if isinstance(event, UploadAssessed) and event.priority is Priority.RED} - reds
        if getattr(step, "seen_sequence", None) == ALL and any(isinstance(event, Acknowledged | Confirmed | StoodDown) for event in events):
            unseen = set()
        assert not unseen or any(name.startswith(WAKES) for name in timers(world.case)), step


@settings(max_examples=400)
@given(NEWS)
def test_a_hand_over_that_is_offered_ends_by_an_answer_or_its_time_or_with_what_its_owner_had(script):
    world = World()
    for number, step in enumerate((*CONFIRMED, asked(OfferHandOver, to_centre="city"), *script)):
        offered, before = world.case.hand_over, len(world.log)
        world.wait(step) if isinstance(step, timedelta) else world.hear(step, str(number))
        if offered is not None and world.case.hand_over is None:
            assert world.case.phase is Phase.TREATED or any(isinstance(event, OFFER_ENDS) for event in world.log[before:]), step


@given(SCRIPTS)
def test_a_yellow_that_nobody_has_read_falls_due_or_people_have_the_patient_before_them(script):
    case = played(script).case
    assert all(upload.read_by is not None or case.is_open for upload in case.uploads if upload.is_unread)


@given(SCRIPTS)
def test_no_timer_is_set_under_a_name_that_was_heard_before(script):
    world = played(script)
    assert not timers(world.case).keys() & world.fired


@given(SCRIPTS)
def test_nobody_whose_offer_has_ended_without_their_answer_is_left_to_think_that_they_are_asked(script):
    world = World()
    for number, step in enumerate([assessed(Priority.RED), acknowledge(), asked(OfferHandOver, to_person="bob"), *script]):
        before = world.case
        events = world.wait(step) if isinstance(step, timedelta) else world.hear(step, str(number))
        is_answered = any(isinstance(event, HandOverAccepted | HandOverDeclined) for event in events)
        if before.hand_over is not None and world.case.hand_over is None and not is_answered:
            told = {event.person_id for event in events if isinstance(event, NoteRequested)}
            assert told | {getattr(step, "by", None)} >= before.asked.keys()
