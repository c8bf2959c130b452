"""A web push service (RFC 8030) with the browser behind it: VAPID checked (RFC 8292), payload decrypted (RFC 8291).

A subscription's private keys come from `push_keys.json` (`{endpoint: {"private_key": ..., "auth": ...}}`, base64url),
which whoever made the subscriptions writes. An endpoint that is not in it is unknown (404); one with `"ended": true` is
gone (410). A real push service cannot read a payload: one that cannot be decrypted is accepted, and marked, for the
browser would drop it.
"""

from __future__ import annotations

import json
import re
import secrets
import time
import uuid
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.sandbox import keys
from local.sandbox.core import Core, misbehaving
from local.sandbox.faults import Fault
from local.sandbox.store import Accepted, Planned

MAX_PAYLOAD = 4096
MAX_TTL = 60 * 86400
MAX_JWT_SECONDS = 24 * 3600
TOPIC = re.compile(r"[A-Za-z0-9_-]{1,32}")
REPORTED = {"delivered": "shown", "click": "clicked"}
"""What the shop's service worker calls it."""
URGENCIES = ("very-low", "low", "normal", "high")
VAPID = re.compile(r'\s*(t|k)\s*=\s*"?([A-Za-z0-9._=-]+)"?\s*')


class Refused(Exception):  # noqa: N818 - an answer, not a failure of ours
    """The push service's answer to what it does not take."""

    def __init__(self, status: int, errno: int, message: str) -> None:
        super().__init__(message)
        self.status, self.errno = status, errno


@dataclass
class Subscriptions:
    """`push_keys.json`, read again whenever it changed."""

    path: Path | None
    _stamp: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        self._known: dict[str, dict[str, Any]] = {}
        self._by_path: dict[str, str] = {}

    def find(self, host: str, path: str) -> tuple[str, dict[str, Any]]:
        """The endpoint meant by a request's Host and path, and its keys. Raises `Refused` (404) for an unknown one."""
        self._read()
        endpoint = next((one for one in (f"https://{host}{path}", f"http://{host}{path}") if one in self._known), None)
        endpoint = endpoint or self._by_path.get(path) or self._by_path.get(path.removeprefix("/push"))
        endpoint = endpoint or self._by_path.get(path.rsplit("/", 1)[-1])
        if endpoint is None:
            raise Refused(404, 102, "There is no such subscription.")
        return endpoint, self._known[endpoint]

    def _read(self) -> None:
        if self.path is None or not self.path.exists():
            return
        status = self.path.stat()
        stamp = (status.st_mtime_ns, status.st_size)
        if stamp != self._stamp:
            self._known = json.loads(self.path.read_text())
            self._by_path = {}
            for endpoint in self._known:
                path = urlsplit(endpoint).path
                self._by_path[path] = endpoint
                self._by_path.setdefault(path.rsplit("/", 1)[-1], endpoint)
            self._stamp = stamp


def routes(core: Core) -> list[Route]:
    """The push service: `POST /push/<id>`, and any path that is a known endpoint's (the Host tells which service)."""
    subscriptions = Subscriptions(core.push_keys)

    async def deliver(request: Request) -> Response:
        payload = await request.body()
        try:
            host = request.headers.get("host", "")
            endpoint, private = subscriptions.find(host, request.url.path)
            _check_standing(core, endpoint, private)
            _check_vapid(core, request.headers.get("authorization", ""), endpoint)
            ttl, topic = _check_headers(request, payload)
        except Refused as refused:
            return refuse(refused.status, refused.errno, str(refused))
        notification = decrypt(payload, private) if payload else {}
        message = _accepted(core, endpoint, notification, ttl, topic)
        core.accept([message])
        location = f"{_origin(endpoint)}/m/{message.provider_id}"
        return Response(status_code=201, headers={"Location": location, "TTL": str(ttl)})

    handler = misbehaving(core, "webpush", deliver, refuse_for)
    return [Route("/push/{rest:path}", handler, methods=["POST"]), Route("/{rest:path}", handler, methods=["POST"])]


def refuse(status: int, errno: int, message: str) -> Response:
    """An error in the form that Mozilla's push service documents."""
    body = {"code": status, "errno": errno, "error": HTTPStatus(status).phrase, "message": message}
    return JSONResponse(body, status)


def refuse_for(fault: Fault) -> Response:
    """The push service's own words for a rate limit and for its troubles."""
    if fault.kind == "throttle":
        answer = refuse(429, 201, "Too many requests.")
        answer.headers["Retry-After"] = str(fault.retry_after)
        return answer
    return refuse(fault.status, 999, "Something went wrong.")


def _check_standing(core: Core, endpoint: str, private: dict[str, Any]) -> None:
    if private.get("ended") or core.faults.is_bad("webpush", endpoint):
        raise Refused(410, 106, "This subscription has ended. Do not send to it again.")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _check_headers(request: Request, payload: bytes) -> tuple[int, str | None]:
    ttl = request.headers.get("ttl", "")
    if not ttl.isdigit():
        raise Refused(400, 111, "The TTL header is required: a number of seconds.")
    topic = request.headers.get("topic")
    if topic is not None and not TOPIC.fullmatch(topic):
        raise Refused(400, 113, "The Topic header has at most 32 characters of the base64url alphabet.")
    if request.headers.get("urgency", "normal") not in URGENCIES:
        raise Refused(400, 110, f"The Urgency header is one of {', '.join(URGENCIES)}.")
    if len(payload) > MAX_PAYLOAD:
        raise Refused(413, 104, "The payload has more than 4096 bytes.")
    if payload and request.headers.get("content-encoding") != "aes128gcm":
        raise Refused(400, 110, "A payload needs Content-Encoding: aes128gcm.")
    return min(int(ttl), MAX_TTL), topic


def _check_vapid(core: Core, authorization: str, endpoint: str) -> None:
    """RFC 8292: 401 without credentials, 403 when they do not hold for this subscription."""
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() != "vapid":
        raise Refused(401, 109, "The subscription is restricted: Authorization: vapid t=..., k=... is required.")
    parts = {match[1]: match[2] for part in rest.split(",") if (match := VAPID.fullmatch(part))}
    if set(parts) != {"t", "k"}:
        raise Refused(401, 109, "The vapid credentials need t (a JWT) and k (the public key).")
    try:
        point = keys.unb64url(parts["k"])
        header, claims, signature = parts["t"].split(".")
        head, body = json.loads(keys.unb64url(header)), json.loads(keys.unb64url(claims))
        raw = keys.unb64url(signature)
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError as error:
        raise Refused(401, 109, "The vapid credentials cannot be read.") from error
    if head.get("alg") != "ES256" or len(raw) != 64:
        raise Refused(401, 109, "The JWT must be signed with ES256.")
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    try:
        public.verify(der, f"{header}.{claims}".encode(), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise Refused(403, 109, "The JWT's signature is wrong.") from None
    if point != keys.unb64url(core.keys.vapid_public):
        raise Refused(403, 109, "The subscription was made for another application server key.")
    audience = body.get("aud")
    if audience != _origin(endpoint):
        raise Refused(403, 109, f"The JWT's aud is not {_origin(endpoint)}.")
    expires = body.get("exp")
    if not isinstance(expires, int | float) or expires <= time.time() or expires > time.time() + MAX_JWT_SECONDS + 60:
        raise Refused(403, 109, "The JWT's exp must lie in the next 24 hours.")
    if not str(body.get("sub") or "").startswith(("mailto:", "https:")):
        raise Refused(403, 109, "The JWT needs a sub: a mailto: or https: contact.")


def decrypt(payload: bytes, private: dict[str, Any]) -> dict[str, Any] | None:
    """What the browser hands to the service worker: the JSON document; None when it cannot be decrypted or read."""
    try:
        plain = _plaintext(payload, private)
        document = json.loads(plain)
    except (ValueError, InvalidTag, KeyError):
        return None
    return document if isinstance(document, dict) else {"body": document}


def _plaintext(payload: bytes, private: dict[str, Any]) -> bytes:
    salt, size, length = payload[:16], int.from_bytes(payload[16:20], "big"), payload[20]
    sender, body = payload[21 : 21 + length], payload[21 + length :]
    key = keys.private_key(private["private_key"])
    shared = key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender))
    info = b"WebPush: info\0" + keys.public_point(key.public_key()) + sender
    secret = HKDF(hashes.SHA256(), 32, keys.unb64url(private["auth"]), info).derive(shared)
    content_key = HKDF(hashes.SHA256(), 16, salt, b"Content-Encoding: aes128gcm\0").derive(secret)
    nonce = HKDF(hashes.SHA256(), 12, salt, b"Content-Encoding: nonce\0").derive(secret)
    if len(body) > size:
        raise ValueError("RFC 8291 allows one record")
    padded = AESGCM(content_key).decrypt(nonce, body, None).rstrip(b"\0")
    if not padded.endswith(b"\x02"):
        raise ValueError("the last record ends with the octet 2")
    return padded[:-1]


def _accepted(core: Core, endpoint: str, notification: dict[str, Any] | None, ttl: int, topic: str | None) -> Accepted:
    at, shown = core.now(), notification or {}
    reports_to = str(shown.get("events_url") or "")
    fate = core.habits.of("webpush", endpoint, at).push() if notification is not None else []
    if not fate or fate[0][1] > max(ttl, 1):
        fate = []  # the browser was not there in time: the push service lets the message expire
    planned = []
    for kind, wait in fate:
        if reports_to.startswith("http"):
            planned.append(Planned(kind, at + wait, "worker", {"event": REPORTED[kind]}, reports_to))
        else:
            planned.append(Planned(kind, at + wait, "shown", {}))
    return Accepted(
        channel="webpush",
        message_id=_message_id(shown, topic),
        provider_id=secrets.token_hex(16),
        request_id=secrets.token_hex(8),
        recipient=endpoint,
        accepted_at=at,
        received_at=time.time(),
        title=str(shown.get("title") or ""),
        detail={"notification": shown, "ttl": ttl, "topic": topic, "decrypted": notification is not None},
        planned=planned,
    )


def _message_id(notification: dict[str, Any], topic: str | None) -> str | None:
    """The sender's id where it planted one: in the payload, in the signed link it is reported to, or as the Topic."""
    token = str(notification.get("events_url") or "").rsplit("/", 1)[-1]
    candidates = [notification.get("message_id"), _unsigned(token), notification.get("tag"), topic]
    for candidate in candidates:
        try:
            return str(uuid.UUID(str(candidate)))
        except ValueError:
            continue
    return None


def _unsigned(token: str) -> str:
    """What a signed token says, unverified: the sandbox stands outside and has no key."""
    return token.rpartition(".")[0]
