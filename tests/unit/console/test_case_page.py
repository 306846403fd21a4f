"""The link of a page, followed in a browser: it says how to act, and nothing of the case."""

from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI

from services.console.app import HTTP_PLAN
from services.runtime.blobs import FolderBlobs
from services.runtime.http import answer_errors
from services.runtime.producer import Producer
from services.runtime.redis_link import connect
from services.runtime.service import Links
from services.runtime.settings import Settings


@pytest_asyncio.fixture
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """A browser before the console as it is wired, with everything that it stands on away."""
    folder = tmp_path_factory.mktemp("blobs")
    settings = Settings(kafka="127.0.0.1:1", redis="redis://127.0.0.1:1/0", blobs=folder.as_uri())
    producer = Producer(settings.kafka, "test", HTTP_PLAN.may_write())
    service = HTTP_PLAN.build(Links(settings=settings, redis=connect(settings.redis), producer=producer, blobs=FolderBlobs(folder)))
    app = FastAPI()
    answer_errors(app)
    assert service.router is not None
    app.include_router(service.router)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://console", headers={"Accept": "text/html"}) as http:
        yield http


async def test_a_browser_is_told_how_to_act_whatever_the_case_is_and_with_everything_away(browser: httpx.AsyncClient) -> None:
    case = str(uuid4())
    answer = await browser.get(f"/cases/{case}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert f"greenchannel case show {case}" in answer.text
    assert "call the centre" in answer.text
    assert (await browser.get(f"/cases/{uuid4()}")).text.count(case) == 0


async def test_the_page_runs_nothing_loads_nothing_and_is_kept_nowhere(browser: httpx.AsyncClient) -> None:
    answer = await browser.get(f"/cases/{uuid4()}")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert not any(word in answer.text.lower() for word in ("<script", "<link", "<img", "<form", "href", "style", "http"))


@pytest.mark.parametrize("path", ["/cases", "/cases/", "/cases/x", "/cases/%3Cscript%3E", "/", "/case"])
async def test_no_other_path_answers_a_page(browser: httpx.AsyncClient, path: str) -> None:
    answer = await browser.get(path)
    assert answer.status_code in {404, 422}
    assert answer.headers["content-type"] == "application/problem+json"


async def test_the_api_answers_as_ever(browser: httpx.AsyncClient) -> None:
    assert (await browser.get(f"/v1/cases/{uuid4()}")).headers["content-type"] == "application/problem+json"
    assert (await browser.post(f"/cases/{uuid4()}")).status_code == 405
