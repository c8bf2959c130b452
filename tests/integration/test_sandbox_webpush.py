"""The sandbox's push service against pywebpush: RFC 8030, 8188, 8291 and 8292."""

from __future__ import annotations

import base64
import json
import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import http_ece
import pytest
import requests
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from py_vapid import Vapid
from pywebpush import WebPusher

from local.sandbox import keys
from local.sandbox.server import Handle, Sandbox
from tests.integration.sandbox_listener import Listener, listening
from warehouse import tokens

NOON = datetime(2017, 10, 1, 16, tzinfo=UTC)
ORIGIN = "https://push.example.com"
ENDPOINT, ENDED = f"{ORIGIN}/0123456789abcdef", f"{ORIGIN}/fedcba9876543210"


@dataclass
class Browser:
    """A subscription with both its halves."""

    endpoint: str
    private: ec.EllipticCurvePrivateKey
    auth: bytes

    def subscription(self) -> dict[str, Any]:
        point = keys.b64url(keys.public_point(self.private.public_key()))
        return {"endpoint": self.endpoint, "keys": {"p256dh": point, "auth": keys.b64url(self.auth)}}

    def kept(self) -> dict[str, str]:
        number = self.private.private_numbers().private_value
        return {"private_key": keys.b64url(number.to_bytes(32, "big")), "auth": keys.b64url(self.auth)}


@pytest.fixture
def browser() -> Browser:
    return Browser(ENDPOINT, ec.generate_private_key(ec.SECP256R1()), os.urandom(16))


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as it:
        yield it


@pytest.fixture
def sandbox(tmp_path: Path, browser: Browser, listener: Listener) -> Iterator[Handle]:
    path = tmp_path / "push_keys.json"
    path.write_text(json.dumps({ENDPOINT: browser.kept(), ENDED: {**browser.kept(), "ended": True}}))
    with Sandbox(push_keys=path, events_url=listener.url) as handle:
        handle.set_clock(NOON)
        yield handle


def vapid(sandbox: Handle, key: str | None = None) -> dict[str, str]:
    """A token signed by py_vapid."""
    signer = Vapid.from_string(key or sandbox.connections()["webpush_default"]["password"])
    claims = {"aud": ORIGIN, "exp": int(time.time()) + 3600, "sub": "mailto:care@shop.example.com"}
    return {"Authorization": signer.sign(claims)["Authorization"]}


def vapid_by_hand(sandbox: Handle, **claims: Any) -> dict[str, str]:
    """A token with claims that py_vapid would not sign."""
    given = {"aud": ORIGIN, "exp": int(time.time()) + 3600, "sub": "mailto:care@shop.example.com", **claims}
    parts = [keys.b64url(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "ES256"}, given)]
    private = keys.private_key(sandbox.keys.vapid_private)
    r, s = decode_dss_signature(private.sign(".".join(parts).encode(), ec.ECDSA(hashes.SHA256())))
    signature = keys.b64url(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
    return {"Authorization": f"vapid t={'.'.join(parts)}.{signature}, k={sandbox.keys.vapid_public}"}


def push(
    sandbox: Handle,
    browser: Browser,
    document: object = None,
    *,
    headers: dict[str, str | None] | None = None,
    endpoint: str = ENDPOINT,
) -> requests.Response:
    """One notification, encrypted by pywebpush, sent to the sandbox as if it were the endpoint's own host."""
    encoded = WebPusher(browser.subscription()).encode(
        json.dumps(document or {"title": "Hi", "body": "There"}).encode()
    )
    sent = {
        "TTL": "3600",
        "Content-Encoding": "aes128gcm",
        "Host": "push.example.com",
        **vapid(sandbox),
        **(headers or {}),
    }
    return post(sandbox, endpoint, encoded["body"], {name: value for name, value in sent.items() if value is not None})


def post(sandbox: Handle, endpoint: str, body: bytes, headers: dict[str, str]) -> requests.Response:
    return requests.post(sandbox.url + endpoint.removeprefix(ORIGIN), data=body, headers=headers, timeout=10)


def test_a_notification_is_taken_decrypted_and_given_a_place(sandbox: Handle, browser: Browser) -> None:
    answer = push(sandbox, browser, {"title": "Favorites", "body": "This week", "url": "https://shop.example.com"})
    assert (answer.status_code, answer.content) == (201, b"")
    assert answer.headers["Location"].startswith(f"{ORIGIN}/m/")
    (receipt,) = sandbox.receipts()
    assert (receipt["recipient"], receipt["decrypted"]) == (ENDPOINT, True)


def test_it_is_also_found_under_push(sandbox: Handle, browser: Browser) -> None:
    encoded = WebPusher(browser.subscription()).encode(b"{}")
    headers = {"TTL": "60", "Content-Encoding": "aes128gcm", **vapid(sandbox)}
    assert post(sandbox, "/push/0123456789abcdef", encoded["body"], headers).status_code == 201


def test_our_id_is_read_from_the_link_that_the_service_worker_reports_to(sandbox: Handle, browser: Browser) -> None:
    message_id = uuid.uuid4()
    link = f"https://shop.example.com/events/webpush/{tokens.sign('webpush', message_id)}"
    assert push(sandbox, browser, {"title": "Hi", "events_url": link}).status_code == 201
    (receipt,) = sandbox.receipts()
    assert receipt["message_id"] == str(message_id)


def test_the_service_worker_reports_what_was_shown_and_clicked(
    sandbox: Handle, browser: Browser, listener: Listener
) -> None:
    sandbox.set_habits(rates={"webpush": {"clicked": 1}})
    push(sandbox, browser, {"title": "Hi", "events_url": f"{listener.url}/events/webpush/token"})
    sandbox.set_clock(NOON + timedelta(days=1))
    sandbox.drain()
    reports = sorted(listener.at("/events/webpush/token"), key=lambda call: call.headers["X-Sandbox-Clock"])
    assert [json.loads(call.body) for call in reports] == [{"event": "shown"}, {"event": "clicked"}]


def test_what_cannot_be_decrypted_is_taken_as_a_push_service_would_and_marked(
    sandbox: Handle, browser: Browser
) -> None:
    other = Browser(ENDPOINT, ec.generate_private_key(ec.SECP256R1()), os.urandom(16))
    assert push(sandbox, other).status_code == 201
    (receipt,) = sandbox.receipts()
    assert receipt["decrypted"] is False


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"TTL": None}, 400),
        ({"TTL": "soon"}, 400),
        ({"Content-Encoding": "aesgcm"}, 400),
        ({"Content-Encoding": None}, 400),
        ({"Topic": "a" * 33}, 400),
        ({"Topic": "not/base64url"}, 400),
        ({"Urgency": "whenever"}, 400),
        ({"Authorization": None}, 401),
        ({"Authorization": "Bearer x"}, 401),
        ({"Authorization": "vapid t=a.b.c, k=d"}, 401),
    ],
)
def test_it_refuses_headers(sandbox: Handle, browser: Browser, headers: dict[str, str | None], status: int) -> None:
    assert push(sandbox, browser, headers=headers).status_code == status
    assert list(sandbox.receipts()) == []


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://other.example.com"},
        {"aud": f"{ORIGIN}/"},
        {"exp": int(time.time()) - 60},
        {"exp": int(time.time()) + 25 * 3600},
        {"sub": "mailto"},
    ],
)
def test_it_refuses_a_token_that_claims(sandbox: Handle, browser: Browser, claims: dict[str, Any]) -> None:
    assert push(sandbox, browser, headers={**vapid_by_hand(sandbox)}).status_code == 201
    assert push(sandbox, browser, headers={**vapid_by_hand(sandbox, **claims)}).status_code == 403


def test_a_token_of_another_key_is_refused(sandbox: Handle, browser: Browser) -> None:
    stranger = keys.Keys().vapid_private
    assert push(sandbox, browser, headers={**vapid(sandbox, stranger)}).status_code == 403


def test_a_token_that_was_altered_is_refused(sandbox: Handle, browser: Browser) -> None:
    good = vapid(sandbox)["Authorization"]
    head, _, rest = good.partition("t=")
    header, claims, signature = rest.split(",")[0].split(".")
    altered = json.loads(base64.urlsafe_b64decode(claims + "=="))
    altered["exp"] += 1
    forged = f"{head}t={header}.{keys.b64url(json.dumps(altered).encode())}.{signature},{rest.split(',', 1)[1]}"
    assert push(sandbox, browser, headers={"Authorization": forged}).status_code == 403


def test_an_unknown_subscription_is_404_and_an_ended_one_410(sandbox: Handle, browser: Browser) -> None:
    answer = push(sandbox, browser, endpoint=f"{ORIGIN}/nobody")
    assert (answer.status_code, answer.json()["code"]) == (404, 404)
    assert push(sandbox, browser, endpoint=ENDED).status_code == 410


def test_more_than_4096_bytes_are_413_and_4096_are_not(sandbox: Handle, browser: Browser) -> None:
    headers = {"TTL": "60", "Content-Encoding": "aes128gcm", "Host": "push.example.com", **vapid(sandbox)}
    private = ec.generate_private_key(ec.SECP256R1())
    for size, status in ((4096, 201), (4097, 413)):
        plain = b'{"title":"' + b"x" * (size - 103 - 12) + b'"}'
        body = http_ece.encrypt(
            plain,
            salt=os.urandom(16),
            private_key=private,
            dh=keys.public_point(browser.private.public_key()),
            auth_secret=browser.auth,
            version="aes128gcm",
            rs=5000,
        )
        assert len(body) == size
        assert post(sandbox, ENDPOINT, body, headers).status_code == status
    (receipt,) = sandbox.receipts()
    assert receipt["decrypted"] is True
