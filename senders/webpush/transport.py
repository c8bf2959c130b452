"""One push to one endpoint through `pywebpush`, and the one place where what can go wrong becomes ours."""

from __future__ import annotations

import logging
from datetime import timedelta

from pywebpush import WebPusher

from senders import wire
from senders.contract import NotSent, OutcomeUnknown, Rejected, SendError, Subscription
from senders.http import Answer, BadUrl
from senders.webpush.guard import Guarded, ToSandbox, host_of
from senders.webpush.vapid import Tokens, private_key
from warehouse.connections import Connection
from warehouse.errors import Misconfigured

ACCEPTED = 201
"""What a push service says that has taken a message (RFC 8030, 5). 202 is the answer to a request for a receipt (5.1),
which is never made here; anything else was said by somebody else."""
WRONG_KEY = "VapidPkHashMismatch"
"""Apple's word for a subscription that was made with another key, with 400."""

# At DEBUG these print endpoints, which are personal.
for _name in ("pywebpush", "py_vapid"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class Gone(Rejected):
    """404 or 410: the push service has ended this subscription (RFC 8030, 7.3)."""


class NotOurKey(Rejected):
    """401 or 403: the push service does not take our VAPID key for this endpoint."""


class Transport:
    """The way to all push services (or the sandbox). Safe for many threads."""

    def __init__(self, connection: Connection, contact: str, connections: int) -> None:
        timeout = wire.timeout_of(connection)
        self._tokens = Tokens(private_key(connection), contact)
        sandbox = str(connection.extra.get("sandbox_host") or "")
        if not connection.sandbox:
            self._session: Guarded | ToSandbox = Guarded(connections, timeout)
            return
        if not sandbox:
            raise Misconfigured(
                f'Connection {connection.conn_id!r} says "sandbox": true and has no "sandbox_host": its pushes '
                "would reach real browsers. Nothing was claimed or sent."
            )
        wire.refuse_own_host(connection, sandbox.partition(":")[0])
        self._session = ToSandbox(sandbox, connections, timeout)

    def post(self, subscription: Subscription, data: str, headers: dict[str, str], ttl: int) -> str | None:
        """Hands one notification to one endpoint; returns the push service's `Location`.

        Raises `Gone`, `NotOurKey`, `Rejected`, `NotSent`, `OutcomeUnknown`, and `Misconfigured` for a proxy of no use.
        """
        origin = f"https://{host_of(subscription.endpoint)}"
        keys = {"p256dh": subscription.p256dh, "auth": subscription.auth}
        try:
            authorized = {**headers, "Authorization": self._tokens.authorization(origin)}
            pusher = WebPusher({"endpoint": subscription.endpoint, "keys": keys}, requests_session=self._session)
            answer: Answer = pusher.send(data, authorized, ttl=ttl)
        except Exception as error:  # noqa: BLE001 - every failure of the library is given its meaning here
            raise _translate(error) from None
        if answer.status_code != ACCEPTED:
            raise _refused(answer)
        return answer.headers.get("Location")


def _translate(error: Exception) -> Exception:
    if isinstance(error, SendError | Misconfigured):
        return error
    if isinstance(error, BadUrl):
        return Rejected("The endpoint is not an https URL.", code="bad_endpoint", is_address_fault=True)
    # What is left happens before any request, which lets nothing else out: keys that are no keys.
    return Rejected(
        f"The subscription cannot be used ({type(error).__name__}).", code="bad_subscription", is_address_fault=True
    )


def _refused(answer: Answer) -> Exception:
    status = answer.status_code
    code = f"http_{status}"
    if status in {404, 410}:
        return Gone("The subscription has ended.", code=code)
    if status in {401, 403} or (status == 400 and WRONG_KEY in answer.text):
        return NotOurKey("The push service refuses our VAPID key.", code=code)
    if status == 429:
        wait = wire.retry_after(answer.headers) or timedelta(seconds=60)
        return NotSent("The push service asks us to slow down.", wait, code=code)
    if status < 300 or status == 408 or status >= 500:
        return OutcomeUnknown(f"The push service answered {status}.", wire.retry_after(answer.headers), code=code)
    return Rejected(f"The push service refused it with {status}.", code=code, is_address_fault=False)
