"""Tokens: cleaned at the border, never said, kept for one server and readable by one user."""

import json
import stat
from pathlib import Path

import pytest

from raiw.client import Client
from raiw.client import tokens as kept
from raiw.errors import InvalidInput, Unreachable

URL = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("RAIW_TOKEN", raising=False)
    monkeypatch.setattr(kept, "_keyring", lambda: None)
    return tmp_path / "raiw" / "tokens.json"


@pytest.mark.parametrize("token", ["secret\n", "  secret ", "secret\r\n"])
def test_space_around_a_token_is_nobodys_secret(token: str, monkeypatch) -> None:
    assert kept.find_token(URL, token) == "secret"
    monkeypatch.setenv("RAIW_TOKEN", token)
    assert kept.find_token(URL) == "secret"
    with Client(URL) as client, pytest.raises(Unreachable) as error:
        client.health()
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("token", ["sécret", "sec\nret", "sec\x00ret", "secret€"])
def test_a_token_that_no_header_can_hold_is_refused_without_being_said(token: str) -> None:
    with pytest.raises(InvalidInput, match=r"position \d") as error:
        Client(URL, token)
    assert "ret" not in error.value.message.replace("printable", "")


def test_precedence(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kept.find_token(URL) is None
    kept.keep_token(URL, "kept")
    assert kept.find_token(f"{URL}/") == "kept"
    monkeypatch.setenv("RAIW_TOKEN", "from-environment")
    assert kept.find_token(URL) == "from-environment"
    assert kept.find_token(URL, "given") == "given"


def test_the_file_is_its_owners_and_a_token_is_for_one_server(own_folder: Path) -> None:
    kept.keep_token(URL, "one")
    kept.keep_token("https://raiw.example.org/", "two")
    assert stat.S_IMODE(own_folder.stat().st_mode) == 0o600
    assert kept.kept_token("https://raiw.example.org:443") == "two"
    assert kept.kept_token("http://raiw.example.org") is None
    assert kept.forget_token(URL)
    assert not kept.forget_token(URL)
    assert json.loads(own_folder.read_text()) == {"https://raiw.example.org:443": "two"}


def test_a_damaged_file_is_named(own_folder: Path) -> None:
    own_folder.parent.mkdir()
    own_folder.write_text("{")
    with pytest.raises(InvalidInput, match=r"tokens\.json"):
        kept.find_token(URL)


def test_the_keyring_is_used_where_there_is_one(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    keyring = pytest.importorskip("keyring")
    from keyring.backend import KeyringBackend

    class Memory(KeyringBackend):
        priority = 5

        def __init__(self) -> None:
            super().__init__()
            self.secrets: dict[tuple[str, str], str] = {}

        def set_password(self, service: str, username: str, password: str) -> None:
            self.secrets[service, username] = password

        def get_password(self, service: str, username: str) -> str | None:
            return self.secrets.get((service, username))

        def delete_password(self, service: str, username: str) -> None:
            del self.secrets[service, username]

    before = keyring.get_keyring()
    keyring.set_keyring(Memory())
    try:
        monkeypatch.setenv("XDG_CONFIG_HOME", str(own_folder.parents[1]))
        monkeypatch.delenv("RAIW_TOKEN", raising=False)
        assert "keyring" in kept.keep_token(URL, "secret")
        assert not own_folder.exists()
        assert kept.find_token(URL) == "secret"
        assert kept.forget_token(URL)
        assert kept.find_token(URL) is None
    finally:
        keyring.set_keyring(before)
