"""What all vendors share: waiting times, words without addresses, hosts that are never a sandbox."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import formatdate

import pytest

from senders.wire import LONGEST_WAIT, OWN_HOSTS, retry_after, scrub


def test_waiting_time_in_seconds() -> None:
    assert retry_after({"Retry-After": "30"}) == timedelta(seconds=30)
    assert retry_after({"retry-after": "0"}) == timedelta()


@pytest.fixture(params=["UTC", "America/New_York", "Asia/Tokyo"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine stands in another zone."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    "form",
    ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y", "%a, %d %b %Y %H:%M:%S -0000"],
    ids=["imf-fixdate", "rfc850", "asctime", "no zone told"],
)
@pytest.mark.usefixtures("zone")
def test_waiting_time_as_a_date_means_utc_wherever_the_machine_stands(form: str) -> None:
    moment = datetime.now(UTC) + timedelta(hours=2)
    found = retry_after({"Retry-After": moment.strftime(form)})
    assert found is not None
    assert timedelta(hours=1, minutes=50) < found <= timedelta(hours=2)


def test_a_date_that_is_long_past_means_no_waiting() -> None:
    for text in ("Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"):
        assert retry_after({"Retry-After": text}) == timedelta()


@pytest.mark.parametrize(
    "headers",
    [
        *({"Retry-After": text} for text in ("soon", "-5", "²", "1²", "٣٠", "Sun, 99 Nov 2026 08:49:37 GMT")),
        *({"X-RateLimit-Reset": text} for text in ("x", "²", "-1")),
        {"Retry-After": "Fri, 31 Dec 9999 23:59:59 -2359"},
        {},
    ],
)
def test_what_can_not_be_read_is_no_waiting_time(headers: dict[str, str]) -> None:
    assert retry_after(headers) is None


def test_nobody_waits_for_ever_or_backwards() -> None:
    assert retry_after({"Retry-After": "999999999999"}) == LONGEST_WAIT
    assert retry_after({"Retry-After": formatdate(time.time() - 90, usegmt=True)}) == timedelta()


@pytest.mark.parametrize(
    "words",
    [
        "no such user ann.smith@example.com",
        "<ann@example.com>: unknown",
        "Attempt to send to +12025550101",
        "call (202) 555-0101 now",
        "see https://push.example.net/s/abcdef",
        "Ann <ANN@Example.COM>",
    ],
)
def test_words_lose_addresses(words: str) -> None:
    cleaned = scrub(words).lower()
    for part in ("example.com", "2025550101", "555-0101", "push.example", "ann@", "ann.smith"):
        assert part not in cleaned


def test_words_keep_their_codes_and_stay_short() -> None:
    assert scrub("550 5.1.1 no such user") == "550 5.1.1 no such user"
    assert scrub("451  4.7.1\nGreylisted") == "451 4.7.1 Greylisted"
    assert len(scrub("x" * 5000)) == 200


@pytest.mark.parametrize(
    "host",
    [
        *("api.sendgrid.com", "api.eu.sendgrid.com", "api.twilio.com", "fcm.googleapis.com", "web.push.apple.com"),
        *("updates.push.services.mozilla.com", "wns2-par02p.notify.windows.com"),
    ],
)
def test_a_providers_own_host_is_known(host: str) -> None:
    assert OWN_HOSTS.search(host)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "sandbox.example.com", "notsendgrid.com", "twilio.com.evil.org"]
)
def test_another_host_is_not(host: str) -> None:
    assert not OWN_HOSTS.search(host)
