"""uv is sent where pip is configured to look; what the environment tells uv itself wins; links decide the cache."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("like_pip", ROOT / "tools" / "like_pip.py")
assert _spec and _spec.loader
like_pip = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(like_pip)

FILES = "global.index-url='https://mirror.example/simple'\nglobal.trusted-host='a.example\\nb.example'\n"


def test_the_index_of_a_configuration_file_is_handed_over():
    env = like_pip.environment(FILES, {"PATH": "/bin"})
    assert env["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert env["UV_INSECURE_HOST"] == "a.example b.example"
    assert env["PATH"] == "/bin"


def test_pips_environment_wins_over_its_files_in_any_order():
    lines = [
        FILES.splitlines()[0],
        ":env:.index-url='https://env.example/simple'",
        "install.index-url='https://section.example'",
    ]
    for listing in (lines, lines[::-1]):
        assert like_pip.environment("\n".join(listing), {})["UV_DEFAULT_INDEX"] == "https://env.example/simple"


def test_what_is_said_to_uv_itself_stays():
    env = like_pip.environment(FILES, {"UV_DEFAULT_INDEX": "https://mine.example", "UV_HTTP_TIMEOUT": "7"})
    assert env["UV_DEFAULT_INDEX"] == "https://mine.example"
    assert env["UV_HTTP_TIMEOUT"] == "7"


def test_certificate_and_proxy_go_along_and_other_places_do_not():
    listing = "global.cert='/c.pem'\nglobal.proxy='http://p:1'\nglobal.extra-index-url='https://x.example'\nglobal.find-links='/w'"
    env = like_pip.environment(listing, {})
    assert env["SSL_CERT_FILE"] == "/c.pem"
    assert env["HTTPS_PROXY"] == env["HTTP_PROXY"] == "http://p:1"
    assert not any("x.example" in value or value == "/w" for value in env.values())


def test_no_configuration_sets_no_index():
    assert "UV_DEFAULT_INDEX" not in like_pip.environment("", {})


def test_the_default_cache_is_kept_where_links_are_possible(tmp_path):
    assert like_pip.cache_folder(tmp_path, {"XDG_CACHE_HOME": str(tmp_path / "cache")}) is None
    assert list(tmp_path.iterdir()) == [tmp_path / "cache"], "the probe left something behind"


def test_a_cache_on_another_file_system_is_moved_into_the_environment(tmp_path, monkeypatch):
    def across(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(like_pip.os, "link", across)
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    assert like_pip.cache_folder(tmp_path, env) == tmp_path / "uv-cache"
    assert like_pip.cache_folder(tmp_path, {**env, "UV_CACHE_DIR": "/elsewhere"}) is None


def test_it_becomes_the_command_of_its_own_environment(monkeypatch):
    seen = []
    monkeypatch.setattr(like_pip.os, "execve", lambda *words: seen.append(words))
    monkeypatch.setattr(like_pip.subprocess, "run", lambda *_, **__: type("Done", (), {"stdout": FILES}))
    monkeypatch.setattr(like_pip, "cache_folder", lambda *_: None)
    like_pip.main(["uv", "--version"])
    ((program, command, env),) = seen
    assert program == Path(sys.prefix) / "bin" / "uv"
    assert command == ["uv", "--version"]
    assert env["VIRTUAL_ENV"] == sys.prefix
    assert env["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"


@pytest.mark.parametrize("listing", ["", "global.index-url='x'"])
def test_settings_are_read_as_pip_prints_them(listing):
    assert like_pip.settings(listing) == ({"index-url": "x"} if listing else {})
