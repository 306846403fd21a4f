"""The case that we measure ourselves by: the wire crossed the lesion 24 minutes after the clinic's ECG. Each time comes from its event."""

from datetime import timedelta

from contracts.cases import (
    Acknowledged,
    CaseEvents,
    CaseOpened,
    Confirmed,
    LabActivated,
    PageRequested,
    PatientArrived,
    PatientDeparted,
    ReferralAccepted,
    Said,
    StrategyProposed,
    Treated,
    UploadAssessed,
)
from contracts.commands import AcceptReferral, ActivateLab, Confirm, RecordArrival, RecordDeparture, RecordTreatment, Say
from contracts.vocabulary import Arrival, Diagnosis, Priority, Strategy, Treatment
from tests.unit.cases.case_world import DIRECTORY, T0, World, acknowledge, asked, assessed, uploaded

NEAR = DIRECTORY.clinics["clinic"].model_copy(update={"travel_min": {"centre": 12}})
WUWEI = DIRECTORY.model_copy(update={"clinics": {"clinic": NEAR}})


def played() -> World:
    """The township's ECG at 0:00, the wire at 24:00; each step is heard when it happens."""
    world = World(directory=WUWEI)
    world.hear(uploaded())
    steps = (
        (2, assessed(Priority.RED)),
        (45, acknowledge("ann", at=T0 + timedelta(seconds=45))),
        (90, asked(Say, text="aspirin 300 mg, ticagrelor 180 mg, keep the patient lying; the ambulance is on its way")),
        (120, asked(Confirm, diagnosis=Diagnosis.STEMI)),
        (150, asked(AcceptReferral)),
        (180, asked(ActivateLab)),
        (240, asked(RecordDeparture)),
        (960, asked(RecordArrival, place=Arrival.LAB)),
        (1440, asked(RecordTreatment, treatment=Treatment.PCI_WIRE)),
    )
    for after_s, told in steps:
        world.now = T0 + timedelta(seconds=after_s)
        now = {} if hasattr(told, "rulebook") else {"at": world.now}
        world.hear(told.model_copy(update=now))
    return world


def first(world: World, kind: type[CaseEvents]) -> CaseEvents:
    return next(event for event in world.log if isinstance(event, kind))


def test_from_the_clinics_ecg_to_the_wire_in_24_minutes_each_time_from_its_event():
    world = played()
    course = (UploadAssessed, CaseOpened, PageRequested, Acknowledged, Said, Confirmed, ReferralAccepted, LabActivated)
    assert [(first(world, kind).at - T0).seconds for kind in course] == [2, 2, 2, 45, 90, 120, 150, 180]
    departed, arrived, treated = first(world, PatientDeparted), first(world, PatientArrived), first(world, Treated)
    assert isinstance(departed, PatientDeparted)
    assert isinstance(arrived, PatientArrived)
    assert isinstance(treated, Treated)
    assert [(each.happened_at - T0).seconds for each in (departed, arrived, treated)] == [240, 960, 1440]
    assert (arrived.place, treated.treatment) == (Arrival.LAB, Treatment.PCI_WIRE)


def test_the_clock_proposed_the_catheter_with_both_figures_before_anybody_pressed():
    proposed = first(played(), StrategyProposed)
    assert isinstance(proposed, StrategyProposed)
    assert proposed.strategy is Strategy.PRIMARY_PCI
    assert proposed.contact_to_wire_min is not None
    assert proposed.contact_to_wire_min <= proposed.limit_min == 120
    assert str(proposed.contact_to_wire_min) in proposed.reason


def test_nobody_is_paged_any_more_once_it_is_in_hand_and_confirmed():
    world = played()
    acknowledged = world.log.index(first(world, Acknowledged))
    assert not [event for event in world.log[acknowledged:] if isinstance(event, PageRequested)]
    assert not [event for event in world.wait(timedelta(hours=2)) if isinstance(event, PageRequested)]
