"""The signed tokens of links that leave the house."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from warehouse import settings, tokens
from warehouse.errors import Misconfigured, WinbackError


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINBACK_TOKEN_KEY", "a key of the test")


def test_a_token_names_its_message() -> None:
    message_id = uuid.uuid4()
    assert tokens.read("unsubscribe", tokens.sign("unsubscribe", message_id)) == message_id


def test_a_token_for_one_purpose_opens_no_other() -> None:
    token = tokens.sign("unsubscribe", uuid.uuid4())
    with pytest.raises(WinbackError):
        tokens.read("preferences", token)


@pytest.mark.parametrize("position", [0, 5, -2])
def test_an_altered_token_is_refused(position: int) -> None:
    token = list(tokens.sign("unsubscribe", uuid.uuid4()))
    token[position] = "A" if token[position] != "A" else "B"
    with pytest.raises(WinbackError):
        tokens.read("unsubscribe", "".join(token))


def test_a_token_of_another_installation_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    token = tokens.sign("unsubscribe", uuid.uuid4())
    monkeypatch.setenv("WINBACK_TOKEN_KEY", "another key")
    with pytest.raises(WinbackError):
        tokens.read("unsubscribe", token)


def test_no_link_is_signed_with_an_empty_key(tmp_path: Path) -> None:
    secret = settings.secret_file(tmp_path / "token.key")
    assert len(secret) > 30
    assert settings.secret_file(tmp_path / "token.key") == secret
    (tmp_path / "token.key").write_text("\n")
    with pytest.raises(Misconfigured, match=r"token\.key is empty"):
        settings.secret_file(tmp_path / "token.key")


def test_threads_that_need_the_first_secret_at_once_have_the_same(tmp_path: Path) -> None:
    ready = Barrier(16)

    def first(round_no: int) -> str:
        ready.wait(20)
        return settings.secret_file(tmp_path / f"{round_no}.key")

    with ThreadPoolExecutor(16) as pool:
        for round_no in range(20):
            assert len(set(pool.map(first, [round_no] * 16))) == 1
    assert len(list(tmp_path.iterdir())) == 20
