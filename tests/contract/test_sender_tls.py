"""A provider whose certificate nobody vouches for gets neither a key nor a message."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from senders.contract import NotSent, OutcomeKind, OutcomeUnknown
from senders.http import Http
from tests.contract.providers import SendGrid, Twilio, message
from tests.contract.stub import Stub
from tests.contract.test_sender_http import PROXIES, drip, listening


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    """A certificate of its own making for 127.0.0.1, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "stranger")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    made = tmp_path / "stranger.pem"
    made.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return made


def speaking_as(pem: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


@pytest.fixture
def stranger(pem: Path) -> Iterator[tuple[str, list[bytes]]]:
    """A TLS server that nobody vouches for: its URL, and what it could read."""
    context = speaking_as(pem)
    listener = socket.create_server(("127.0.0.1", 0))
    read: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(plain, server_side=True) as connection:
                    read.append(connection.recv(1000))
            except OSError:
                continue

    threading.Thread(target=serve, daemon=True).start()
    yield f"https://127.0.0.1:{listener.getsockname()[1]}", read
    listener.close()


@pytest.mark.parametrize("vendor", [SendGrid, Twilio])
def test_an_unknown_certificate_means_not_sent_and_nothing_said(
    vendor: type[SendGrid | Twilio], stub: Stub, stranger: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, read = stranger
    provider = vendor(stub, monkeypatch.setenv)
    provider.connect(url)
    (outcome,) = provider.sender().send([message(1, provider.channel)]).values()
    assert (outcome.kind, outcome.error_code) == (OutcomeKind.NOT_SENT, "unreachable")
    assert not any(read)


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 201 Created\r\nConnection: close\r\n\r\n"])
def test_over_tls_too_an_answer_that_is_drawn_out_is_cut_and_in_doubt(
    pem: Path, monkeypatch: pytest.MonkeyPatch, first: bytes
) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pem))
    context = speaking_as(pem)

    def serve(plain: socket.socket) -> None:
        with context.wrap_socket(plain, server_side=True) as connection:
            drip(first, b"X")(connection)

    began = time.monotonic()
    with listening(serve) as port, pytest.raises(OutcomeUnknown) as doubt:
        Http("the provider", connections=1, timeout=1, is_direct=False).request(
            "POST", f"https://127.0.0.1:{port}/", {}, b"x"
        )
    assert doubt.value.code == "timeout"
    assert time.monotonic() - began < 10


def test_a_handshake_that_is_drawn_out_means_that_nothing_left() -> None:
    began = time.monotonic()
    with listening(drip(b"\x16\x03\x03\x40\x00", b"\x02", head=False)) as port, pytest.raises(NotSent):
        Http("the provider", connections=1, timeout=1, is_direct=True).request(
            "POST", f"https://127.0.0.1:{port}/", {}, b"x"
        )
    assert time.monotonic() - began < 10
