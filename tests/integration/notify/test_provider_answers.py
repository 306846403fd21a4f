"""A provider that says no within an answer of status 200 has not sent anything: a real HTTP server answers as theirs do."""

import json

import pytest
from apprise.plugins.dingtalk import NotifyDingTalk
from apprise.plugins.feishu import NotifyFeishu
from apprise.plugins.lark import NotifyLark
from apprise.plugins.vonage import NotifyVonage
from apprise.plugins.wecombot import NotifyWeComBot

from contracts.deliveries import Failure
from services.notify.address_targets import NOBODY
from services.notify.apprise_carrier import AppriseCarrier
from services.notify.notice import Failed, Sent, Unknown
from services.notify.provider_answers import UNREADABLE

WECOM, DINGTALK, FEISHU, LARK = "wecombot://" + "a" * 36, "dingtalk://" + "a" * 64, "feishu://" + "a" * 36, "lark://" + "a" * 36
VONAGE = "vonage://" + "a" * 8 + ":" + "b" * 16 + "@15551234567"
ONE, TWO = f"{VONAGE}/8613800138000", f"{VONAGE}/8613800138000/8613800138001"


@pytest.fixture
def hosts(provider, monkeypatch):
    """Have each kind's host answered by the test's provider."""
    _, address = provider
    here = address.replace("json", "http")
    monkeypatch.setattr(NotifyWeComBot, "notify_url", here + "/200?key={key}")
    monkeypatch.setattr(NotifyDingTalk, "notify_url", here + "/200?access_token={token}")
    monkeypatch.setattr(NotifyFeishu, "notify_url", here + "/200?token={token}")
    monkeypatch.setattr(NotifyLark, "notify_url", here + "/200?token=")
    monkeypatch.setattr(NotifyVonage, "notify_url", here + "/200")


async def told(provider, address, *says):
    """Return what is known of a notice when the provider says this, and how often it was asked."""
    hook, _ = provider
    hook.says = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in says]
    before = len(hook.heard)
    outcome = await AppriseCarrier("test").send(address, "title", "text")
    return outcome, len(hook.heard) - before


def vonage(*statuses):
    return {
        "message-count": str(len(statuses)),
        "messages": [{"to": "8613800138000", "status": each, "error-text": "said of it"} for each in statuses],
    }


@pytest.mark.parametrize(
    ("address", "says"),
    [
        (WECOM, {"errcode": 0, "errmsg": "ok"}),
        (DINGTALK, {"errcode": 0, "errmsg": "ok"}),
        (FEISHU, {"StatusCode": 0, "StatusMessage": "success", "code": 0, "data": {}, "msg": "success"}),
        (FEISHU, {"Extra": None, "StatusCode": 0, "StatusMessage": "success"}),
        (LARK, {"code": 0, "msg": "success", "data": {}}),
        (ONE, vonage("0", "0")),
    ],
)
async def test_what_a_provider_took_is_sent_at_once(hosts, provider, address, says):
    assert await told(provider, address, says) == (Sent(), 1)


@pytest.mark.parametrize(
    ("address", "says", "code"),
    [
        (WECOM, {"errcode": 93000, "errmsg": "invalid webhook url"}, 93000),
        (DINGTALK, {"errcode": 310000, "errmsg": "keywords not in content"}, 310000),
        (FEISHU, {"code": 19001, "msg": "param invalid: incoming webhook access token invalid", "data": {}}, 19001),
        (FEISHU, {"StatusCode": 9499, "StatusMessage": "Bad Request"}, 9499),
        (LARK, {"code": 19021, "msg": "sign match fail or timestamp is not within one hour from current time"}, 19021),
        (ONE, vonage("4"), 4),
        (TWO, vonage("4"), 4),
    ],
)
async def test_a_refusal_within_an_answer_of_status_200_fails_the_notice_for_good(hosts, provider, address, says, code):
    outcome, _ = await told(provider, address, says, says)
    assert outcome == Failed(Failure.PERMANENT, f"the provider answered 200 with code {code}")


@pytest.mark.parametrize(
    ("address", "says", "taken"),
    [
        (WECOM, {"errcode": 45009, "errmsg": "api freq out of limit"}, {"errcode": 0}),
        (WECOM, {"errcode": -1, "errmsg": "system error"}, {"errcode": 0}),
        (DINGTALK, {"errcode": 130101, "errmsg": "send too fast, exceed 20 times per minute"}, {"errcode": 0}),
        (FEISHU, {"code": 11232, "msg": "frequency limited"}, {"code": 0}),
        (LARK, {"code": 9499, "msg": "too many request"}, {"code": 0}),
        (ONE, vonage("1"), vonage("0")),
    ],
)
async def test_a_limit_is_a_failure_for_the_moment_and_tried_once_more(hosts, provider, address, says, taken):
    outcome, asked = await told(provider, address, says, says)
    assert isinstance(outcome, Failed)
    assert (outcome.failure, asked) == (Failure.TEMPORARY, 2)
    assert await told(provider, address, says, taken) == (Sent(), 2)


@pytest.mark.parametrize("says", [b"", b"<html>a gateway's page</html>", b"[]", b"7", {}, {"errcode": None}, {"errcode": True}, {"errcode": "ok"}])
async def test_an_answer_that_cannot_be_read_is_never_sent(hosts, provider, says):
    assert await told(provider, WECOM, says) == (UNREADABLE, 1)


@pytest.mark.parametrize("says", [b"", {"messages": []}, {"messages": [{}]}, {"messages": [7]}, {"message-count": "0"}])
async def test_a_message_without_a_status_is_never_sent(hosts, provider, says):
    assert await told(provider, ONE, says) == (UNREADABLE, 1)


async def test_where_a_part_of_a_long_message_is_refused_it_is_unknown(hosts, provider):
    outcome, asked = await told(provider, ONE, vonage("0", "6"))
    assert isinstance(outcome, Unknown)
    assert asked == 1


async def test_where_one_of_two_telephones_is_refused_it_is_unknown_and_neither_is_rung_twice(hosts, provider):
    outcome, asked = await told(provider, TWO, vonage("0"), vonage("6"))
    assert isinstance(outcome, Unknown)
    assert asked == 2


async def test_a_kind_that_answers_by_its_status_is_sent_whatever_its_body_says(provider):
    _, address = provider
    assert await told(provider, f"{address}/200", b'{"errcode": 93000}') == (Sent(), 1)


async def test_an_address_that_would_ring_its_own_number_is_not_rung(hosts, provider):
    for address in (VONAGE, f"{VONAGE}/13800138", f"{VONAGE}/15551234567"):
        assert await told(provider, address, vonage("0")) == (Failed(Failure.PERMANENT, NOBODY), 0)
