"""How long a VAPID token is used (RFC 8292), by a clock that is passed."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from py_vapid import Vapid, VapidException

from senders.webpush.vapid import MOST_TOKENS, Tokens

HOUR = 3600
NOON = 1_506_873_600.0
HERE, THERE = "https://push.example.net", "https://other.example.org:8443"


class Signing(Vapid):  # type: ignore[misc]
    """A key that counts what it signs."""

    signed = 0

    def sign(self, *arguments: object) -> object:
        self.signed += 1
        return super().sign(*arguments)


class Desk:
    """Tokens, with a clock to turn."""

    def __init__(self) -> None:
        self.now = NOON
        self.key = Signing(ec.generate_private_key(ec.SECP256R1()))
        self.tokens = Tokens(self.key, "mailto:care@shop.example.com", clock=lambda: self.now)

    def claims(self, origin: str) -> dict[str, object]:
        header = self.tokens.authorization(origin)
        assert Vapid.verify(header)
        part = header.split("t=")[1].split(".")[1]
        found: dict[str, object] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return found


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_token_says_for_whom_it_is_by_whom_and_until_when(desk: Desk) -> None:
    assert desk.claims(THERE) == {"aud": THERE, "sub": "mailto:care@shop.example.com", "exp": int(NOON) + 12 * HOUR}


def test_a_token_is_used_again_until_half_of_its_life_is_over(desk: Desk) -> None:
    first = desk.tokens.authorization(HERE)
    desk.now += 6 * HOUR - 1
    assert desk.tokens.authorization(HERE) == first
    assert desk.key.signed == 1
    desk.now += 1
    assert desk.claims(HERE)["exp"] == int(NOON) + 18 * HOUR


def test_a_token_signed_by_a_clock_that_was_ahead_is_not_used_again(desk: Desk) -> None:
    desk.now += 48 * HOUR
    desk.tokens.authorization(HERE)
    desk.now = NOON
    assert desk.claims(HERE)["exp"] == int(NOON) + 12 * HOUR


def test_each_push_service_has_a_token_of_its_own(desk: Desk) -> None:
    assert desk.claims(HERE)["aud"] != desk.claims(THERE)["aud"]
    desk.tokens.authorization(HERE)
    assert desk.key.signed == 2


def test_hosts_that_anybody_can_name_do_not_fill_the_memory(desk: Desk) -> None:
    for number in range(MOST_TOKENS + 2):
        desk.tokens.authorization(f"https://{number}.example.net")
    assert len(desk.tokens._signed) <= MOST_TOKENS


def test_what_is_no_origin_is_refused(desk: Desk) -> None:
    with pytest.raises(VapidException):
        desk.tokens.authorization("https://")
