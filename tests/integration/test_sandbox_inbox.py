"""The inbox shows each message as its recipient would see it, and fetches nothing from outside."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from local.sandbox import pictures
from local.sandbox.server import Handle, Sandbox
from local.sandbox.store import Accepted
from senders.sendgrid.send import send_notice
from senders.sendgrid.transport import Transport
from warehouse.connections import parse

NOON = datetime(2017, 10, 1, 16, tzinfo=UTC)
HTML = (
    "<html><head><title>x</title><style>p{}</style></head><body><div style='display:none'>For you, -h-</div>"
    '<p>Hello -h-</p><img src="https://assets.shop.example.com/products/1000002.svg">'
    '<img src="https://tracker.example.net/pixel.gif"><a href="https://shop.example.com">Shop</a></body></html>'
)


@pytest.fixture
def sandbox() -> Iterator[Handle]:
    with Sandbox() as handle:
        handle.set_clock(NOON)
        yield handle


def mail(sandbox: Handle, *people: str, subject: str = "We miss you") -> None:
    connection = sandbox.connections()["sendgrid_default"]
    body = {
        "personalizations": [
            {
                "to": [{"email": one}],
                "custom_args": {"message_id": str(uuid.uuid4())},
                "substitutions": {"-t-": one, "-h-": one.replace("<", "&lt;")},
                "headers": {"List-Unsubscribe": "<https://shop.example.com/u>"},
            }
            for one in people
        ],
        "from": {"email": "hello@shop.example.com", "name": "Riverside Market"},
        "subject": subject,
        "content": [{"type": "text/plain", "value": "Hello -t-"}, {"type": "text/html", "value": HTML}],
    }
    headers = {"Authorization": f"Bearer {connection['password']}"}
    assert httpx.post(f"{connection['host']}/v3/mail/send", json=body, headers=headers).status_code == 202


def alert(sandbox: Handle) -> None:
    connections = sandbox.connections()
    transport = Transport(parse("sendgrid_default", json.dumps(connections["sendgrid_default"])))
    sender = {"email": "alerts@shop.example.com", "name": "Winback"}
    send_notice(transport, sender, ["team@example.com"], title="A pool is dry", body="Load codes.", notice_id="1")


def text(sandbox: Handle, to: str) -> None:
    connection = sandbox.connections()["twilio_default"]
    url = f"{connection['host']}/2010-04-01/Accounts/{connection['login']}/Messages.json"
    form = {"To": to, "From": "+15005550006", "Body": "10% off until Sunday. Reply STOP to opt out"}
    assert httpx.post(url, data=form, auth=(connection["login"], connection["password"])).status_code == 201


def listed(sandbox: Handle, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{sandbox.inbox_url}/messages?{query}").json()["messages"]
    return found


def test_the_page_needs_nothing_but_the_sandbox(sandbox: Handle) -> None:
    answer = httpx.get(sandbox.inbox_url)
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "Nothing left this machine: nobody received any of this." in answer.text
    page = answer.text.replace("http://www.w3.org/2000/svg", "").replace("https://shop.example.com", "")
    assert "http://" not in page
    assert "https://" not in page


def test_a_mail_is_shown_with_its_own_values_and_pictures_from_here(sandbox: Handle) -> None:
    mail(sandbox, "ann@example.com", "bob@example.com")
    (bob, ann) = listed(sandbox)
    assert (ann["to"], ann["title"], ann["preview"]) == (
        "ann@example.com",
        "We miss you",
        "For you, ann@example.com Hello ann@example.com Shop",
    )
    shown = httpx.get(f"{sandbox.inbox_url}/messages/{bob['seq']}/mail")
    assert "Hello bob@example.com" in shown.text
    assert 'src="/assets/products/1000002.svg"' in shown.text
    assert '<base target="_blank">' in shown.text
    policy = shown.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "img-src 'self' data:" in policy
    whole = httpx.get(f"{sandbox.inbox_url}/messages/{bob['seq']}").json()
    assert whole["text"] == "Hello bob@example.com"
    assert ["List-Unsubscribe", "<https://shop.example.com/u>"] in whole["headers"]


def test_what_came_back_is_shown_when_its_time_has_come(sandbox: Handle) -> None:
    sandbox.set_habits(people={"ann@example.com": {"clicked": 1, "opened": 1, "bounced": 0, "blocked": 0}})
    mail(sandbox, "ann@example.com")
    assert listed(sandbox)[0]["came"] == []
    sandbox.set_clock(NOON + timedelta(days=1))
    assert {"delivered", "open", "click"} <= set(listed(sandbox)[0]["came"])
    summary = httpx.get(f"{sandbox.inbox_url}/summary").json()
    assert summary["answers"]["email"]["clicked"] == 1
    assert summary["clock"] == "2017-10-02T12:00:00-04:00"


def test_messages_are_found_by_person_subject_channel_day_and_answer(sandbox: Handle) -> None:
    sandbox.set_habits(people={"bob@example.com": {"bounced": 1}})
    mail(sandbox, "ann@example.com", "bob@example.com")
    text(sandbox, "+12125550101")
    sandbox.set_clock(NOON + timedelta(days=2))
    mail(sandbox, "ann@example.com", subject="100% for you")

    def people(query: str) -> list[str]:
        return sorted(message["to"] for message in listed(sandbox, query))

    assert len(people("")) == 4
    assert people("channel=sms") == ["+12125550101"]
    assert people("day=2017-10-01") == ["+12125550101", "ann@example.com", "bob@example.com"]
    assert people("q=ann") == ["ann@example.com", "ann@example.com"]
    assert people(f"q={quote('100% ann')}") == ["ann@example.com"]
    assert people("q=%25") == ["+12125550101", "ann@example.com"]
    assert people("came=failed") == ["bob@example.com"]
    assert people("q=nobody") == []


def test_alerts_and_tests_are_told_apart_from_what_customers_got(sandbox: Handle) -> None:
    sandbox.set_habits(people={one: {"bounced": 0, "blocked": 0} for one in ("ann@example.com", "lead@example.com")})
    mail(sandbox, "ann@example.com")
    mail(sandbox, "lead@example.com", subject="[Test] We miss you")
    alert(sandbox)
    sandbox.set_clock(NOON + timedelta(days=2))
    summary = httpx.get(f"{sandbox.inbox_url}/summary").json()
    assert summary["channels"] == {"email": 1}
    assert summary["audiences"] == {"customers": {"email": 1}, "team": {"email": 1}, "test": {"email": 1}}
    assert [day["email"] for day in summary["days"]] == [1]
    assert summary["answers"]["email"]["delivered"] == 1
    assert [message["to"] for message in listed(sandbox, "audience=team")] == ["team@example.com"]
    assert [message["to"] for message in listed(sandbox, "audience=test")] == ["lead@example.com"]
    assert [message["to"] for message in listed(sandbox, "audience=customers")] == ["ann@example.com"]
    assert len(listed(sandbox)) == 3


def test_a_test_is_known_by_its_senders_name_where_the_provider_keeps_the_subject() -> None:
    def audience(**detail: Any) -> str:
        return Accepted("email", None, "p", "r", "a@example.com", 0, 0, "", detail=detail).audience

    assert audience(**{"from": {"email": "a@shop.example.com", "name": "[Test] Riverside Market"}}) == "test"
    assert audience(**{"from": {"email": "a@shop.example.com"}}) == "customers"


def test_a_long_list_comes_in_pages(sandbox: Handle) -> None:
    mail(sandbox, *(f"a{number}@example.com" for number in range(130)))
    pages = [httpx.get(f"{sandbox.inbox_url}/messages?offset={offset}").json() for offset in (0, 60, 120)]
    assert [len(page["messages"]) for page in pages] == [60, 60, 10]
    assert [page["more"] for page in pages] == [True, True, False]


def test_a_text_says_what_it_cost(sandbox: Handle) -> None:
    text(sandbox, "+12125550101")
    whole = httpx.get(f"{sandbox.inbox_url}/messages/{listed(sandbox)[0]['seq']}").json()
    assert (whole["segments"], whole["encoding"], whole["characters"]) == (1, "GSM-7", 43)


def test_a_page_from_the_web_cannot_reach_it_under_another_name(sandbox: Handle) -> None:
    for path in ("/inbox", "/control/receipts", "/inbox/messages"):
        assert httpx.get(sandbox.url + path, headers={"Host": "evil.example.com"}).status_code == 421


def test_a_product_has_the_same_picture_every_time_and_one_that_fits_its_name(sandbox: Handle) -> None:
    first, again = (httpx.get(f"{sandbox.url}/assets/products/123.svg") for _ in range(2))
    assert first.headers["Content-Type"] == "image/svg+xml"
    assert first.text == again.text
    assert pictures.kind_of("1", "Dried plums, 18 oz|Dried fruit") == "fruit"
    assert pictures.kind_of("1", "Can dog food ration|Dog foods") == "pet"
    assert pictures.kind_of("1", "Candy bar|Candy - checklane") == "candy"
    assert pictures.kind_of("1", "Hot dog buns, 11 oz|Bread and buns") == "bread"
    assert pictures.kind_of("1", "Hot dogs, 16 oz|Hot dogs") == "meat"
    assert pictures.kind_of("1", "Baby carrots, 1 lb|Carrots") == "greens"
    assert pictures.kind_of("1", "Something|Else") == "bag"
    for kind in {kind for kind, _ in pictures.words_of_kinds()}:
        assert kind in pictures.drawings()


def test_an_unknown_message_is_404(sandbox: Handle) -> None:
    assert httpx.get(f"{sandbox.inbox_url}/messages/7").status_code == 404
    assert json.loads(httpx.get(f"{sandbox.inbox_url}/messages").text) == {"messages": [], "more": False}
