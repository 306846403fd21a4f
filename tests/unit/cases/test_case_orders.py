"""Order across topics does not exist: whatever is heard first, what nobody has seen is paged for."""

from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.assessments import Assessed
from contracts.cases import Acknowledged, CaseEvents, CaseSettled, PageRequested, UploadAssessed
from contracts.commands import Acknowledge
from contracts.deliveries import NoticeSent
from contracts.intake import EcgUploaded
from contracts.vocabulary import Lane, Priority
from services.cases.state import Phase
from services.cases.timers import timers
from tests.unit.cases.case_world import FIRST, MINUTE, SECOND, T0, THIRD, World, acknowledge, assessed, kinds, seen_in, sent, uploaded


@dataclass(frozen=True)
class Look:
    """Somebody looks at what a projection shows, which lacks the newest events, and presses. The command is heard when its turn comes."""

    lacks: int
    says_what_was_seen: bool


@dataclass
class Story:
    """What lies in each topic and is not heard yet; each topic keeps its order."""

    intake: deque[EcgUploaded]
    assessments: deque[Assessed]
    world: World = field(default_factory=World)
    commands: deque[tuple[Acknowledge, int]] = field(default_factory=deque)  # each with how many events who pressed could see
    deliveries: deque[NoticeSent] = field(default_factory=deque)
    seen: int = 0  # how many events at most were seen by somebody whose acknowledgement stood

    def play(self, step: str | Look | timedelta) -> None:
        match step:
            case timedelta():
                self._note(self.world.wait(step))
            case Look():
                self._look(step)
            case "commands" if self.commands:
                command, seen = self.commands.popleft()
                events = self.world.hear(command, f"press {len(self.world.heard)}")
                self.seen = max(self.seen, seen) if any(isinstance(event, Acknowledged) for event in events) else self.seen
            case "intake" | "assessments" | "deliveries" if getattr(self, step):
                self._note(self.world.hear(getattr(self, step).popleft()))

    def _look(self, look: Look) -> None:
        log = self.world.log
        shown = len(log) - look.lacks if look.says_what_was_seen else len(log)  # by the time alone nobody can tell an old projection
        seen = seen_in(log[: max(0, shown)])
        if seen is not None:
            self.commands.append((acknowledge(at=self.world.now, seen=seen if look.says_what_was_seen else None), shown))

    def _note(self, events: list[CaseEvents]) -> None:
        self.deliveries += [sent(event) for event in events if isinstance(event, PageRequested)]

    def hear_all(self, order: tuple[str, ...]) -> None:
        for topic in order:
            while getattr(self, topic):
                self.play(topic)


TOPICS = ("intake", "assessments", "commands", "deliveries")
LOOKS = st.builds(Look, st.sampled_from([0, 0, 1, 3, 6]), st.booleans())
SPANS = st.integers(0, 90).map(lambda seconds: timedelta(seconds=seconds))
HEARD = [topic for topic, times in (("intake", 3), ("assessments", 3), ("commands", 2), ("deliveries", 1)) for _ in range(times)]
WITHOUT_RED = [Priority.NOT_EVALUABLE, Priority.NOT_EVALUABLE, Priority.GREEN, None]  # None: nobody hears of an assessment
WITH_REDS = [Priority.RED, Priority.RED, *WITHOUT_RED]


@st.composite
def played(draw, priorities=WITH_REDS) -> Story:
    """A story of up to three recordings, each judged or never judged, of which messages, presses and timers are heard in any order."""
    lanes = {upload: draw(st.sampled_from([Lane.EMERGENCY, Lane.EMERGENCY, Lane.ROUTINE])) for upload in (FIRST, SECOND, THIRD)}
    received = {upload: T0 + timedelta(seconds=draw(st.integers(0, 40))) for upload in lanes}
    judged = [(upload, priority) for upload in draw(st.permutations(list(lanes))) if (priority := draw(st.sampled_from(priorities)))]
    story = Story(
        deque(uploaded(upload, received[upload]) for upload in sorted(lanes, key=received.__getitem__) if lanes[upload] is Lane.EMERGENCY),
        deque(assessed(priority, upload, lanes[upload], received[upload]) for upload, priority in judged),
    )
    steps = [*HEARD, *draw(st.lists(LOOKS, min_size=1, max_size=3)), *draw(st.lists(SPANS, max_size=2))]
    for step in draw(st.permutations(steps)):
        story.play(step)
    story.hear_all(tuple(draw(st.permutations(TOPICS))))
    return story


def reds_nobody_saw(story: Story) -> list[UploadAssessed]:
    unseen = story.world.log[story.seen :]
    return [event for event in unseen if isinstance(event, UploadAssessed) and event.priority is Priority.RED]


@settings(max_examples=400)
@given(played())
def test_a_red_is_paged_for_until_somebody_who_had_seen_it_acknowledges(story):
    if reds_nobody_saw(story):
        again = [timer for name, timer in timers(story.world.case).items() if name.startswith("again/")]
        assert [timer.due_at <= story.world.now + MINUTE for timer in again] == [True]
        pages = [event for event in story.world.wait(MINUTE) if isinstance(event, PageRequested)]
        assert {page.priority for page in pages} == {Priority.RED}


@given(played(), st.booleans())
def test_whoever_looks_and_then_presses_is_heard_while_the_case_is_open(story, says_what_was_seen):
    world = story.world
    if world.case.phase is Phase.OPENED:
        pressed_at = (world.case.last_at or world.now) + timedelta(seconds=6)
        assert kinds(world.hear(acknowledge("bob", pressed_at, seen_in(world.log) if says_what_was_seen else None)))[0] == "Acknowledged"


@settings(max_examples=400)
@given(played(WITHOUT_RED))
def test_a_case_that_was_settled_holds_no_emergency_recording_that_is_unread_or_newer_than_the_answer_and_unreadable(story):
    case = story.world.case
    last = next((event for event in reversed(story.world.log) if isinstance(event, CaseSettled)), None)
    if case.phase is Phase.CLOSED and last is not None:
        answer = case.upload(last.upload_id)
        assert answer is not None
        assert not [upload for upload in case.uploads if upload.is_for_people and (upload.due_at or upload.received_at > answer.received_at)]
