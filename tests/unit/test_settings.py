"""Settings: file, environment, faults that name the key."""

import os
from pathlib import Path

import pytest

from offhook.cli.main import config_show
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


def test_what_is_shown_can_be_read_as_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "offhook.toml"
    for variable in [name for name in os.environ if name.startswith("OFFHOOK_")]:
        monkeypatch.delenv(variable)
    file.write_text('data_dir = "a \\"b\\" \\\\ ü"\nsystem_wide_channels = true\nsip_nat_ping_s = 7.5\n')
    written = load_settings(file, {})
    config_show(config=file)
    file.write_text(capsys.readouterr().out)
    assert load_settings(file, {}) == written


def test_addresses_of_both_families_may_be_listed() -> None:
    settings = load_settings(
        None,
        {
            "OFFHOOK_SIP_HOST": "0.0.0.0, ::",
            "OFFHOOK_SIP_ADVERTISE": "203.0.113.5,2001:db8::5",
            "OFFHOOK_SIP_LOCAL_NETWORKS": "192.168.0.0/16",
            "OFFHOOK_DNS_SERVERS": "192.0.2.53,127.0.0.1:5353,[2001:db8::53]:54",
        },
    )
    assert settings.sip_hosts == ("0.0.0.0", "::")
    assert settings.sip_advertised == ("203.0.113.5", "2001:db8::5")
    assert [str(network) for network in settings.sip_networks] == ["192.168.0.0/16"]
    assert settings.dns_addresses == (("192.0.2.53", 53), ("127.0.0.1", 5353), ("2001:db8::53", 54))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SIP_HOST", ","),
        ("SIP_ADVERTISE", "203.0.113.5,203.0.113.6"),
        ("SIP_LOCAL_NETWORKS", "192.168.0.1/16"),
        ("DNS_SERVERS", "dns.example.com"),
        ("DNS_SERVERS", "192.0.2.53:0"),
        ("SIP_TLS_CA", "absent.pem"),
        ("SIP_TLS_CERT", "pyproject.toml"),
        ("HTTP_TLS_CERT", "pyproject.toml"),
    ],
)
def test_wrong_addresses_and_files_are_named(variable: str, value: str) -> None:
    with pytest.raises(SettingsInvalid, match=f"OFFHOOK_{variable}: "):
        load_settings(None, {f"OFFHOOK_{variable}": value})
