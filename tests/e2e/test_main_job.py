"""The main job on the real thing: real recordings through a running centre, to the pager's file and back."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.e2e.centre import Centre, until
from tests.e2e.terminal import greenchannel


def test_an_anterior_infarction_is_paged_acknowledged_and_told_with_an_event_for_every_line(centre: Centre, recordings: Path):
    told = centre.send(recordings / "vendor/philips-1.03/129DYNRG.XML", age="61", sex="M")
    assert told["standing_number"] == "555-0100"
    assessment = centre.assessed(told["upload_id"])
    assert assessment["priority"] == "red"
    finding = assessment["findings"][0]
    assert "STEMI" in finding["title"]
    assert {"V2", "V3", "V4"} <= set(finding["leads"])
    v3 = next(value for value in finding["values"] if value["lead"] == "V3")
    assert v3["measured"] == pytest.approx(0.58, abs=0.08)
    assert (v3["threshold"], finding["rule"], finding["source"] != "") == (0.2, "stemi", True)

    case_id = centre.case_of(told["upload_id"])
    pages = centre.paged(case_id)
    assert Counter((page["person"], page["round"]) for page in pages)[("demo-cardiologist", 1)] == 1
    answer = centre.acknowledge(case_id)
    assert answer.status_code == 200, answer.text
    until(lambda: centre.case(case_id)["phase"] == "acknowledged")
    case = centre.case(case_id)
    assert case["owner"] == "demo-cardiologist"
    kinds = [entry["type"] for entry in case["timeline"]]
    assert {"UploadReceived", "UploadAssessed", "CaseOpened", "PageRequested", "NoticeReported", "Acknowledged"} <= set(kinds)
    assert len({entry["event_id"] for entry in case["timeline"]}) == len(kinds)
    assert all(entry["event_id"] and entry["at"] for entry in case["timeline"])
    until(lambda: centre.upload(told["upload_id"])["state"] == "in_hand")


def test_a_page_names_finding_age_sex_clinic_and_a_link_and_nobody(centre: Centre, recordings: Path):
    told = centre.send(recordings / "vendor/philips-1.03/129DYPRG.XML", age="58", sex="F", patient="ID-4711-SECRET")
    text = centre.paged(centre.case_of(told["upload_id"]))[0]["text"]
    assert text.startswith("RED")
    for part in ("inferior", "58", "F", "Example Township Clinic", "min since upload", centre.client["url"]):
        assert part in text
    assert "4711" not in text


@pytest.mark.parametrize("name", ["vendor/muse/guangxi_teaching_sinus_rhythm.xml"])
def test_an_early_repolarisation_pages_nobody_and_answers_the_clinic(centre: Centre, recordings: Path, name: str):
    told = centre.send(recordings / name)
    assert centre.assessed(told["upload_id"])["priority"] != "red"
    assert centre.answered(told["upload_id"])
    assert centre.upload(told["upload_id"])["case"] is None
    assert not [page for page in centre.pages() if told["upload_id"] in json.dumps(page)]


def test_a_normal_of_ludb_pages_nobody(centre: Centre, recordings: Path):
    lines = (recordings / "MANIFEST.tsv").read_text().splitlines()
    normal = next(line.split("\t")[0] for line in lines if line.startswith("ludb/") and line.split("\t")[5] == "NORMAL")
    header = recordings / normal
    told = centre.send(header, header.with_suffix(".dat"))
    assert centre.assessed(told["upload_id"])["priority"] in {"green", "yellow"}
    assert centre.answered(told["upload_id"])
    assert centre.upload(told["upload_id"])["case"] is None


def test_a_recording_without_leads_pages_a_person_and_asks_for_a_repeat_that_settles_it(centre: Centre, recordings: Path):
    told = centre.send(recordings / "vendor/philips-1.03/129ECORG.XML")
    assessment = centre.assessed(told["upload_id"])
    assert assessment["priority"] == "not_evaluable"
    case_id = centre.case_of(told["upload_id"])
    assert "could not be judged" in centre.paged(case_id)[0]["text"]
    assert "again" in json.dumps(centre.answered(told["upload_id"]))

    repeat = centre.send(recordings / "vendor/dicom/anonymous_ecg.dcm", follows=told["upload_id"])
    assert centre.assessed(repeat["upload_id"])["priority"] in {"green", "yellow"}
    until(lambda: centre.case(case_id)["phase"] == "closed")
    assert centre.case_of(repeat["upload_id"]) == case_id


def test_every_file_that_is_no_recording_is_not_evaluable_and_paged(centre: Centre, recordings: Path):
    hostile = centre.folder / "hostile.xml"
    hostile.write_text('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><AnnotatedECG xmlns="urn:hl7-org:v3">&x;</AnnotatedECG>')
    for path in [*sorted((recordings / "vendor/bad").iterdir()), hostile]:
        told = centre.send(path)
        assert centre.assessed(told["upload_id"])["priority"] == "not_evaluable", path.name
        assert centre.paged(centre.case_of(told["upload_id"]))


def test_one_recording_in_three_formats_gives_the_same_findings(centre: Centre, recordings: Path):
    found = []
    for ending in ("scp", "dcm", "xml"):
        told = centre.send(recordings / f"vendor/one-recording/Example.{ending}", age="49", sex="M")
        assessment = centre.assessed(told["upload_id"])
        found.append((assessment["priority"], [(finding["rule"], finding["leads"]) for finding in assessment["findings"]]))
    assert found[0] == found[1] == found[2]


async def test_the_same_upload_sent_twenty_times_at_once_is_one_upload_one_case_one_page(centre: Centre, recordings: Path):
    content = (recordings / "vendor/philips-1.03/129DYNRG.XML").read_bytes()
    client = centre.client
    async with httpx.AsyncClient(base_url=client["url"], headers={"Authorization": f"Bearer {client['clinic_token']}"}, timeout=30) as line:
        answers = await asyncio.gather(*(line.post("/v1/ecgs", files={"files": content}, data={"patient": "twenty", "age": "70"}) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {202}
    (upload_id,) = {answer.json()["upload_id"] for answer in answers}
    case_id = await asyncio.to_thread(centre.case_of, upload_id)
    pages = await asyncio.to_thread(centre.paged, case_id)
    assert len(pages) == 1
    assert [entry["type"] for entry in centre.case(case_id)["timeline"]].count("CaseOpened") == 1
    assert centre.acknowledge(case_id).is_success


def test_a_recording_sent_as_routine_and_then_as_an_emergency_is_judged_anew_at_once(centre: Centre, recordings: Path):
    path = recordings / "vendor/muse/synthetic_muse.xml"
    routine = centre.send(path, lane="routine", patient="lanes")
    emergency = centre.send(path, lane="emergency", patient="lanes")
    assert routine["upload_id"] != emergency["upload_id"]
    assert (routine["lane"], emergency["lane"]) == ("routine", "emergency")
    centre.assessed(emergency["upload_id"])
    centre.assessed(routine["upload_id"])


def test_an_age_that_cannot_be_is_taken_as_unknown_and_said_so(centre: Centre, recordings: Path):
    told = centre.send(recordings / "vendor/muse/synthetic_muse.xml", age="461", sex="M")
    assert told["unknown_facts"] == ["age"]


def test_the_terminal_shows_the_case_and_acknowledges_it(centre: Centre, recordings: Path):
    sent = greenchannel("upload", str(recordings / "challenge/S0008.hea"), "--clinic", "demo-clinic", "--age", "59", "--json", data=centre.data)
    assert sent.returncode == 0, sent.stderr
    upload_id = json.loads(sent.stdout)["upload_id"]
    case_id = centre.case_of(upload_id)
    listed = greenchannel("case", "list", "--json", data=centre.data)
    assert case_id in {json.loads(line)["case_id"] for line in listed.stdout.splitlines()}
    shown = until(lambda: (case := centre.case(case_id))["upload_id"] == upload_id and case, what="the case that shows this recording")
    seen = str(shown["seen"])
    assert greenchannel("case", "ack", case_id, "--seen", seen, data=centre.data).returncode == 0
    again = greenchannel("case", "ack", case_id, data=centre.data)
    assert (again.returncode, "you have it in hand already" in again.stderr) == (1, True)
    assert "Acknowledged" in greenchannel("case", "show", case_id, data=centre.data).stdout
