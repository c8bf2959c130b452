"""A provider whose certificate nobody vouches for gets neither a key nor a message."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from senders.contract import OutcomeKind
from tests.contract.providers import SendGrid, Twilio, message
from tests.contract.stub import Stub


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[tuple[str, list[bytes]]]:
    """A TLS server with a certificate of its own making: its URL, and what it could read."""
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
    pem = tmp_path / "stranger.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
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
