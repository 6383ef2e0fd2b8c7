"""Settings: file, environment, faults that name the key."""

from pathlib import Path

import pytest

from offhook.settings import Settings, SettingsInvalid, load_settings, masked


def test_the_variable_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "offhook.toml"
    file.write_text('http_port = 9000\nsip_uri_allow = "pbx.example.com, 192.0.2.1"\n')
    settings = load_settings(file, {"OFFHOOK_HTTP_PORT": "9001", "PATH": "/bin", "OFFHOOK_CONFIG": str(file)})
    assert settings.http_port == 9001
    assert settings.sip_uri_hosts == {"pbx.example.com", "192.0.2.1"}


def test_every_wrong_key_is_named() -> None:
    with pytest.raises(SettingsInvalid) as caught:
        load_settings(
            None,
            {
                "OFFHOOK_HTTP_PORT": "eighty",
                "OFFHOOK_MEDIA": "magic",
                "OFFHOOK_MEDIA_PORTS": "1-2",
                "OFFHOOK_SIPPORT": "5060",
                "OFFHOOK_NATS_URL": "nats://x",
                "OFFHOOK_MASTER_API_KEY": "short",
                "OFFHOOK_SIP_HOST": "localhost",
                "OFFHOOK_SIP_DIGEST": "rot13",
                "OFFHOOK_KAZOO_TOKEN_COSTS": "devices=many",
            },
        )
    text = str(caught.value)
    for name in (
        "HTTP_PORT",
        "MEDIA",
        "MEDIA_PORTS",
        "SIPPORT",
        "NATS_URL",
        "MASTER_API_KEY",
        "SIP_HOST",
        "KAZOO_TOKEN_COSTS",
    ):
        assert f"OFFHOOK_{name}: " in text


def test_a_broken_file_is_told(tmp_path: Path) -> None:
    file = tmp_path / "offhook.toml"
    file.write_text("http_port = = 1")
    with pytest.raises(SettingsInvalid, match=r"offhook\.toml"):
        load_settings(file, {})
    with pytest.raises(SettingsInvalid, match="No such file"):
        load_settings(tmp_path / "absent.toml", {})


def test_secrets_are_masked() -> None:
    assert masked(Settings(master_api_key="a" * 64))["master_api_key"] == "***"
