"""Electrodes in each other's place are found on real recordings in which they were exchanged by calculation, and never on those as they are."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from contracts.vocabulary import Priority
from services.triage.beats import median_beat
from services.triage.decode import decode
from services.triage.electrodes import Exchanged, einthoven_broken, exchanged
from services.triage.quality import lead_quality, without_exchanged
from services.triage.reading import read_recording
from services.triage.recording import CHEST, LIMB, STANDARD, Recording
from services.triage.st import QrsBounds, qrs_bounds
from services.triage.words import lead_problems
from tests.unit.triage.test_quality import held

NOTHING = Exchanged(limb=None, chest=())


@dataclass(frozen=True)
class Beat:
    path: str
    recording: Recording
    beat_mv: np.ndarray
    bounds: QrsBounds

    def with_leads(self, change: Callable[[np.ndarray], np.ndarray]) -> Exchanged:
        return exchanged(self.recording.leads, change(self.beat_mv), onset=self.bounds.onset, j=self.bounds.j, fs_hz=self.recording.fs_hz)


@pytest.fixture(scope="module")
def normal(uploaded, manifest) -> list[Beat]:
    """The held normal recordings, each with its median beat."""
    beats = []
    for row in manifest:
        if row["category"] != "NORMAL" or not held(row["file"]):
            continue
        recording = decode(uploaded(row["file"]))
        beat = median_beat(recording.samples_mv, recording.fs_hz)
        bounds = qrs_bounds(beat.beat_mv, r=beat.r, fs_hz=beat.fs_hz) if beat else None
        if beat is not None and bounds is not None:
            beats.append(Beat(row["file"], recording, beat.beat_mv, bounds))
    assert len(beats) > 90
    return beats


def arms_exchanged(samples_mv: np.ndarray) -> np.ndarray:
    """Left and right arm: I is turned over, II and III change places, and so do aVR and aVL; the chest does not notice."""
    i, ii, iii, avr, avl, avf = samples_mv[:6]
    return np.stack([-i, iii, ii, avl, avr, avf, *samples_mv[6:]])


def right_leg_exchanged(samples_mv: np.ndarray) -> np.ndarray:
    """Right arm and right leg: the right arm's lead shows a leg, which is next to nothing against the other; the chest's reference moves."""
    ii, iii = samples_mv[1], samples_mv[2]
    new_ii = 0.03 * ii
    new_i = new_ii - iii
    return np.stack([new_i, new_ii, iii, -(new_i + new_ii) / 2, new_i - new_ii / 2, new_ii - new_i / 2, *(samples_mv[6:] - ii / 3)])


def neighbours_exchanged(first: str, second: str) -> Callable[[np.ndarray], np.ndarray]:
    order = [{first: second, second: first}.get(lead, lead) for lead in STANDARD]
    return lambda samples_mv: samples_mv[[STANDARD.index(lead) for lead in order]]


def test_nothing_is_exchanged_in_a_normal_recording_as_it_is(normal):
    found = {beat.path: beat.with_leads(lambda samples_mv: samples_mv) for beat in normal}
    assert {path: what for path, what in found.items() if what != NOTHING} == {}


def test_exchanged_arms_are_found_in_nearly_every_normal_recording(normal):
    found = [beat.with_leads(arms_exchanged) for beat in normal]
    print(f"arms exchanged: {sum(one.limb == 'arms' for one in found)} of {len(found)}")
    assert sum(one.limb == "arms" for one in found) >= 0.95 * len(found)
    assert {one.limb for one in found} <= {"arms", None}
    assert {one.chest for one in found} == {()}


def test_the_right_arm_on_the_right_leg_is_found_where_its_leads_still_show_something(normal):
    found = [beat.with_leads(right_leg_exchanged) for beat in normal]
    print(f"right arm on the right leg: {sum(one.limb == 'right_leg' for one in found)} of {len(found)}")
    assert sum(one == Exchanged(limb="right_leg", chest=()) for one in found) >= 0.95 * len(found)


@pytest.mark.parametrize(("pair", "least"), [(pair, least) for pair, least in zip(pairwise(CHEST), (0.2, 0.3, 0.4, 0.2, 0.0), strict=True)])
def test_exchanged_neighbours_on_the_chest_are_found_where_it_is_certain_and_no_others_are_blamed(normal, pair, least):
    found = [beat.with_leads(neighbours_exchanged(*pair)) for beat in normal]
    print(f"{pair[0]} and {pair[1]} exchanged: {sum(one.chest == pair for one in found)} of {len(found)}")
    assert sum(one.chest == pair for one in found) >= least * len(found)
    assert sum(one.chest not in ((), pair) for one in found) <= 0.01 * len(found)
    assert {one.limb for one in found} == {None}


def test_a_heart_on_the_right_side_is_not_called_exchanged_arms(normal):
    """In a mirrored heart V6 is no more upright than I."""
    mirrored = [
        beat.with_leads(lambda samples_mv: np.vstack([arms_exchanged(samples_mv)[:6], 0.3 * samples_mv[[6, 6, 6, 6, 6, 6]]])) for beat in normal
    ]
    assert sum(one.limb == "arms" for one in mirrored) == 0


@pytest.mark.parametrize(
    ("turned", "v6_turned"), [(("qrs", "t"), ()), (("p", "t"), ()), (("p", "qrs"), ()), (("p", "t"), ("qrs",)), (("p", "qrs"), ("t",))]
)
def test_a_first_lead_that_is_only_partly_upside_down_against_a_normal_v6_is_not_called_exchanged_arms(normal, turned, v6_turned):
    def turn(beat: Beat, samples_mv: np.ndarray) -> np.ndarray:
        onset, j = beat.bounds.onset, beat.bounds.j
        parts = {"p": slice(0, onset - 10), "qrs": slice(onset, j), "t": slice(j, None)}
        changed = samples_mv - samples_mv[:, onset - 6 : onset].mean(axis=1, keepdims=True)
        for lead, waves in (("I", turned), ("V6", v6_turned)):
            for wave in waves:
                changed[STANDARD.index(lead), parts[wave]] *= -1
        return changed

    found = [beat.with_leads(partial(turn, beat)) for beat in normal]
    assert sum(one.limb == "arms" for one in found) == 0


def test_a_gap_in_another_lead_does_not_hide_exchanged_arms(normal):
    beat = normal[0]

    def with_gap(samples_mv: np.ndarray) -> np.ndarray:
        changed = arms_exchanged(samples_mv)
        changed[STANDARD.index("V2"), beat.bounds.onset - 20] = np.nan
        return changed

    assert beat.with_leads(with_gap).limb == "arms"


@pytest.mark.parametrize("lead", ["I", "V6"])
def test_what_rests_on_a_lead_with_a_gap_is_not_found(normal, lead):
    beat = normal[0]
    assert beat.with_leads(arms_exchanged).limb == "arms"

    def with_gap(samples_mv: np.ndarray) -> np.ndarray:
        changed = arms_exchanged(samples_mv)
        changed[STANDARD.index(lead), beat.bounds.onset + 5] = np.nan
        return changed

    assert beat.with_leads(with_gap) == NOTHING


@pytest.mark.parametrize(
    ("found", "kind", "leads", "advice"),
    [
        (Exchanged("arms", ()), "arms_exchanged", LIMB, "two arms are exchanged. Swap them and record again"),
        (Exchanged("right_leg", ()), "right_leg_exchanged", LIMB, "right arm is on a leg. Move it and record again"),
        (Exchanged(None, ("V2", "V3")), "chest_exchanged", ("V2", "V3"), "exchanged: V2, V3. Swap them and record again"),
    ],
)
def test_exchanged_leads_are_not_judged_the_others_are_and_it_is_said_what_to_do(normal, found, kind, leads, advice):
    quality = without_exchanged(lead_quality(normal[0].recording), found)
    assert quality.usable == tuple(lead for lead in STANDARD if lead not in leads)
    assert not quality.enough
    (problem,) = [problem for problem in lead_problems(quality) if problem.code == kind]
    assert problem.leads == leads
    assert advice in problem.text


def test_the_chest_is_not_blamed_when_its_reference_has_moved(normal):
    quality = without_exchanged(lead_quality(normal[0].recording), Exchanged("right_leg", ()))
    assert without_exchanged(quality, Exchanged(None, ("V1", "V2"))) == quality


def with_lead(recording: Recording, lead: str, samples_mv: np.ndarray) -> Recording:
    changed = recording.samples_mv.copy()
    changed[STANDARD.index(lead)] = samples_mv
    return replace(recording, samples_mv=changed)


def test_limb_leads_that_contradict_each_other_are_not_judged_and_the_chest_is(normal):
    recording = normal[0].recording
    i, v2 = recording.samples_mv[STANDARD.index("I")], recording.samples_mv[STANDARD.index("V2")]
    for broken in (with_lead(recording, "I", v2), with_lead(recording, "I", -i), with_lead(recording, "I", 1.6 * i)):
        quality = lead_quality(broken)
        assert quality.contradictory == LIMB
        assert quality.usable == CHEST
        (problem,) = lead_problems(quality)
        assert (problem.code, problem.leads) == ("einthoven", LIMB)
    assert lead_quality(recording).contradictory == ()
    assert lead_quality(with_lead(recording, "I", i + 0.3)).contradictory == ()  # an offset is the cart's, not the heart's
    assert lead_quality(with_lead(recording, "I", 1.03 * i)).contradictory == ()


def test_einthoven_is_asked_only_of_three_usable_leads(normal):
    recording = normal[0].recording
    broken = with_lead(recording, "I", -recording.samples_mv[STANDARD.index("I")])
    assert einthoven_broken(broken.leads, broken.samples_mv, broken.fs_hz, usable=STANDARD)
    assert not einthoven_broken(broken.leads, broken.samples_mv, broken.fs_hz, usable=("I", "II", *CHEST))


def test_a_flat_second_lead_that_the_others_bear_out_is_an_arm_electrode_on_a_leg(normal):
    recording = normal[0].recording
    iii = recording.samples_mv[STANDARD.index("III")]
    flat = with_lead(recording, "II", np.zeros(iii.size))
    assert lead_quality(with_lead(flat, "I", -iii)).right_leg_exchanged == ("I", "III", "aVR", "aVL", "aVF")
    assert lead_quality(flat).right_leg_exchanged == ()


def test_no_held_normal_recording_contradicts_einthoven(normal):
    assert [beat.path for beat in normal if lead_quality(beat.recording).contradictory] == []


@pytest.mark.parametrize(("change", "code"), [(arms_exchanged, "arms_exchanged"), (right_leg_exchanged, "right_leg_exchanged")])
def test_a_normal_recording_with_exchanged_limb_electrodes_is_neither_red_nor_green(normal, change, code):
    for beat in normal[::8]:
        reading = read_recording(replace(beat.recording, samples_mv=change(beat.recording.samples_mv)), age_y=None, sex=None)
        assert reading.priority is Priority.NOT_EVALUABLE
        assert code in {problem.code for problem in reading.quality.problems}
        assert {lead.lead for lead in reading.measurements.leads} == set(CHEST)


def test_an_anterior_infarction_is_red_by_the_chest_with_the_arms_exchanged_and_it_is_said(uploaded):
    recording = decode(uploaded("vendor/philips-1.03/129DYNRG.XML"))
    exchanged_arms = replace(recording, samples_mv=arms_exchanged(recording.samples_mv))
    reading = read_recording(exchanged_arms, age_y=None, sex=None)
    assert reading.priority is Priority.RED
    assert {lead for finding in reading.findings for lead in finding.leads} <= set(CHEST)
    assert {"arms_exchanged", "partly_judged"} <= {problem.code for problem in reading.quality.problems}
