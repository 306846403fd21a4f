"""The uploader: it tries again where that can help, stops where it cannot, and says why in a sentence."""

import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from services.edge.recordings import Recording, recording_of
from services.edge.uploader import Accepted, Facts, NotSent, Waiting, connected, upload, upload_all

Answer = Callable[[httpx.Request], httpx.Response]


def accepted(upload_id: str = "u-1") -> httpx.Response:
    told = {
        "upload_id": upload_id,
        "lane": "emergency",
        "standing_number": "555-0100",
        "unknown_facts": ["age"],
        "received_at": "2026-03-01T12:00:00Z",
    }
    return httpx.Response(202, json=told)


def busy(retry_after: str = "0") -> httpx.Response:
    return httpx.Response(503, json={"title": "Away for the moment", "detail": "kafka cannot be reached."}, headers={"Retry-After": retry_after})


class Gateway(httpx.AsyncBaseTransport):
    """Gives the answers in turn, the last again and again, and keeps what was asked; an error as an answer is a broken line."""

    def __init__(self, *answers: httpx.Response | httpx.TransportError) -> None:
        self.answers, self.asked, self.bodies = list(answers), list[httpx.Request](), list[bytes]()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        self.bodies.append(await request.aread())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, httpx.TransportError):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    path = tmp_path / "WANG_XIAOMING.xml"
    path.write_bytes(b"<ecg/>")
    return recording_of(path)


async def test_facts_go_in_the_form_only_the_lane_in_the_address_and_the_name_of_a_lone_file_nowhere(recording: Recording) -> None:
    gateway = Gateway(accepted())
    async with connected("http://centre", "secret-token", transport=gateway) as client:
        told = await upload(client, recording, Facts(clinic="township", age_y=0, sex="F", patient="A-77", routine=True))
    assert told == Accepted(recording, "u-1", "emergency", "555-0100", ("age",), "2026-03-01T12:00:00Z", tries=1)
    (request,) = gateway.asked
    assert (str(request.url), request.headers["authorization"]) == ("http://centre/v1/ecgs?lane=routine", "Bearer secret-token")
    form = dict(re.findall(rb'name="(\w+)"(?:; filename="[^"]*"\r\nContent-Type: \S+)?\r\n\r\n([^\r]*)\r\n', gateway.bodies[0]))
    assert form.pop(b"sent_at").startswith(b"20")
    assert form == {b"clinic": b"township", b"age": b"0", b"sex": b"F", b"patient": b"A-77", b"files": b"<ecg/>"}
    assert b"WANG" not in gateway.bodies[0]


async def test_it_tries_again_while_the_gateway_is_away_or_the_line_breaks(recording: Recording) -> None:
    gateway, heard = Gateway(busy(), httpx.ReadError("broken"), accepted()), list[Waiting]()
    async with connected("http://centre", "t", transport=gateway) as client:
        told = await upload(client, recording, Facts(), on_waiting=heard.append)
    assert told.tries == 3
    assert [each.why for each in heard] == ["Away for the moment: kafka cannot be reached.", "the line to http://centre broke (ReadError)."]


async def test_it_waits_as_long_as_it_is_asked_and_gives_up_when_its_time_would_be_over(recording: Recording) -> None:
    gateway = Gateway(busy(retry_after="50"))
    async with connected("http://centre", "t", transport=gateway) as client:
        with pytest.raises(NotSent, match="kafka cannot be reached") as caught:
            await upload(client, recording, Facts(), give_up_after_s=20)
    assert (len(gateway.asked), caught.value.status) == (1, 503)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (httpx.Response(401, json={}), "does not know this token"),
        (
            httpx.Response(413, json={"title": "Too many bytes", "detail": "An upload has at most 32 MiB."}),
            "Too many bytes: An upload has at most 32 MiB.",
        ),
        (httpx.Response(404, text="<html>"), "answered 404, and not as a gateway does"),
        (httpx.Response(202, text="<html>"), "answered 202, and not as a gateway does"),
    ],
)
async def test_a_refusal_is_not_tried_again_and_says_why(recording: Recording, answer: httpx.Response, sentence: str) -> None:
    gateway = Gateway(answer)
    async with connected("http://centre", "t", transport=gateway) as client:
        with pytest.raises(NotSent, match=re.escape(sentence)) as caught:
            await upload(client, recording, Facts())
    assert len(gateway.asked) == 1
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


async def test_who_gives_up_knows_whom_to_call_if_any_answer_said_so(recording: Recording) -> None:
    problem = {"title": "Away for the moment", "detail": "kafka cannot be reached.", "standing_number": "555-0100"}
    told, line = httpx.Response(503, json=problem, headers={"Retry-After": "0"}), httpx.ReadError("broken")
    async with connected("http://centre", "t", transport=Gateway(told, busy(), line)) as client:
        with pytest.raises(NotSent) as caught:
            await upload(client, recording, Facts(), give_up_after_s=2.5)
    assert (caught.value.status, caught.value.standing_number) == (0, "555-0100")


async def test_where_nobody_listens_it_asks_whether_the_server_runs_and_shows_no_password(recording: Recording) -> None:
    async with connected("http://me:pass@127.0.0.1:1", "t") as client:
        with pytest.raises(NotSent, match=r"http://127\.0\.0\.1:1 cannot be reached\. Is `greenchannel up` running there\?"):
            await upload(client, recording, Facts(), give_up_after_s=0)


async def test_many_are_told_of_in_their_order_and_one_that_fails_stops_no_other(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.xml" for number in range(5)]
    for path in paths:
        path.write_bytes(path.name.encode())
    many = [recording_of(path) for path in paths]
    paths[1].unlink()
    gateway, settled = Gateway(httpx.Response(400, json={"title": "No bytes", "detail": ""}), accepted()), list[Accepted | NotSent]()
    async with connected("http://centre", "t", transport=gateway) as client:
        told = await upload_all(client, many, Facts(), at_once=2, on_settled=settled.append)
    assert [each.recording for each in told] == many
    assert sum(isinstance(each, NotSent) for each in told) == 2
    assert isinstance(told[1], NotSent)
    assert "1.xml: cannot be read" in told[1].why
    assert {id(each) for each in settled} == {id(each) for each in told}


async def test_a_token_that_is_refused_is_not_tried_for_the_rest(recording: Recording) -> None:
    gateway = Gateway(httpx.Response(401, json={}))
    async with connected("http://centre", "t", transport=gateway) as client:
        told = await upload_all(client, [recording] * 50, Facts(), at_once=2)
    assert len(told) == 50
    assert all(isinstance(each, NotSent) and each.status == 401 for each in told)
    assert len(gateway.asked) <= 2


def test_a_clinics_pc_needs_only_the_base_install() -> None:
    program = "import sys, services.edge.uploader, services.edge.recordings; print(*{name.split('.')[0] for name in sys.modules})"
    imported = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert {"httpx", "services"} <= set(imported)
    assert not {"numpy", "fastapi", "aiokafka", "faststream", "redis", "structlog", "yaml", "obstore", "prometheus_client"} & set(imported)
