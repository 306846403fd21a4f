"""Promises that hold for every order of messages, repeats and crashes."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from contracts.cases import PageReason
from contracts.vocabulary import Lane, Priority
from services.cases.state import Case, Phase
from services.cases.timers import timers
from tests.unit.cases.case_world import FIRST, MINUTE, SECOND, World, acknowledge, assessed, open_unread, page_again, pages, rebuilt, uploaded

MESSAGES = st.one_of(
    st.builds(uploaded, st.sampled_from([FIRST, SECOND])),
    st.builds(assessed, st.sampled_from(Priority), st.sampled_from([FIRST, SECOND]), st.sampled_from(Lane)),
    st.builds(acknowledge, st.sampled_from(["ann", "bob"])),
    st.builds(page_again, st.integers(1, 4)),
    st.builds(open_unread, st.sampled_from([FIRST, SECOND])),
    st.integers(0, 200).map(lambda seconds: timedelta(seconds=seconds)),
)
SCRIPTS = st.lists(MESSAGES, max_size=12)


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
    assert all({page.person_id for page in of_policy if page.round == round_} == {"ann", "bob"} for round_ in rounds)
