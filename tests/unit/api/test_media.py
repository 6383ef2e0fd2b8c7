"""Music and announcements: uploaded in any form, given back as they came, playable once they can be."""

import base64
import io
import json
import math
import struct
import wave
from pathlib import Path

import msgspec
import pytest

from offhook.app.document_writes import keys_of
from offhook.audio.decoder import decode

from .node import ApiNode, TestAccount, settle
from .test_bodies import MULTIPART, parts


def wav(*, rate: int = 16_000, seconds: float = 0.5, channels: int = 2) -> bytes:
    frames = b"".join(
        struct.pack("<h", int(9_000 * math.sin(2 * math.pi * 440 * index / rate))) * channels
        for index in range(int(rate * seconds))
    )
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes(frames)
    return out.getvalue()


SHORT = wav(seconds=0.1)


def given_media(acme: TestAccount, **data: object) -> str:
    return acme.created("media", {"name": "Hold"} | data)


def raw(acme: TestAccount, media: str) -> str:
    return f"{acme.base}/media/{media}/raw"


def test_what_is_uploaded_is_given_back_and_made_ready(
    node: ApiNode, acme: TestAccount, tmp_path: Path
) -> None:
    media = given_media(acme)
    path = f"{acme.base}/media/{media}"
    assert node.get(path).data == {
        "id": media, "name": "Hold", "media_source": "upload", "streamable": True, "tts": {},
        "_read_only": {"has_content": False},
    }  # fmt: skip
    assert node.get(f"{path}/raw").status == 404
    answer = node.post(f"{path}/raw", body=SHORT, headers={"content-type": "audio/wav"})
    assert (answer.status, answer.data["content_length"]) == (200, len(SHORT))
    read = node.get(f"{path}/raw")
    assert (read.body, read.headers["content-type"]) == (SHORT, "audio/wav")
    assert node.get(path).data["_read_only"]["has_content"] is True
    with wave.open(str(tmp_path / "media" / f"{media}.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8_000, 1, 2)
        assert file.getnframes() == pytest.approx(800, abs=20)
    [item] = node.get(f"{acme.base}/media").data
    assert item == {"id": media, "name": "Hold", "media_source": "upload", "media_type": "audio/wav",
                    "is_prompt": False}  # fmt: skip


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (base64.b64encode(SHORT), {"content-type": "application/base64", "x-file-name": "hold.wav"}),
        (b"data:audio/x-wav;base64," + base64.b64encode(SHORT), {"content-type": "application/base64"}),
        (SHORT, {"content-type": "application/octet-stream", "x-file-name": "hold.WAV"}),
        (parts(('Content-Disposition: form-data; name="f"; filename="a.wav"\r\nContent-Type: audio/wav',
                SHORT)),
         {"content-type": MULTIPART}),
    ],
)  # fmt: skip
def test_files_come_in_every_form(
    node: ApiNode, acme: TestAccount, body: bytes, headers: dict[str, str]
) -> None:
    media = given_media(acme)
    assert node.post(raw(acme, media), body=body, headers=headers).status == 200
    assert node.get(raw(acme, media)).body == SHORT


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"not audio at all", "audio/mp3", 400),
        (SHORT[:30], "audio/wav", 400),
        (b"\xff\xfb" * 50, "audio/mpeg", 400),
        (b"", "audio/wav", 400),
        (SHORT, "image/png", 415),
        (b"x" * 11_600_000, "audio/wav", 413),
    ],
)
def test_what_cannot_be_played_is_refused(
    node: ApiNode, acme: TestAccount, body: bytes, kind: str, status: int
) -> None:
    media = given_media(acme)
    assert node.post(raw(acme, media), body=body, headers={"content-type": kind}).status == status
    assert node.get(raw(acme, media)).status == 404


def test_only_own_uploads_may_be_played(node: ApiNode, acme: TestAccount) -> None:
    media = given_media(acme)
    button = {"name": "b", "extension": "1001", "ringback": media}
    refused = node.put(f"{acme.base}/clicktocall", button)
    assert (refused.status, list(refused.data)) == (400, ["ringback"])
    node.post(raw(acme, media), body=SHORT, headers={"content-type": "audio/wav"})
    assert node.put(f"{acme.base}/clicktocall", button).status == 201
    other = node.given_account("Other")
    music = {"music_on_hold": {"media_id": media}}
    assert node.patch(acme.base, music).status == 200
    refused = node.patch(other.base, music)
    assert (refused.status, list(refused.data)) == (400, ["music_on_hold.media_id"])
    assert node.get(f"{other.base}/media/{media}/raw").status == 404


def test_a_deleted_file_is_gone(node: ApiNode, acme: TestAccount, tmp_path: Path) -> None:
    media = given_media(acme)
    node.post(raw(acme, media), body=SHORT, headers={"content-type": "audio/wav"})
    assert node.delete(f"{acme.base}/media/{media}").status == 200
    assert list((tmp_path / "media").iterdir()) == []


def test_speech_is_not_uploaded(node: ApiNode, acme: TestAccount) -> None:
    media = given_media(acme, media_source="tts", tts={"text": "hello"})
    assert node.post(raw(acme, media), body=SHORT, headers={"content-type": "audio/wav"}).status == 403


def test_long_files_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("offhook.audio.decoder.SECONDS_MAX", 1)
    with wave.open(io.BytesIO(decode(wav(seconds=2.5, rate=8_000, channels=1)))) as file:
        assert file.getnframes() == 8_000


@pytest.fixture
def foreign(node: ApiNode) -> str:
    """An upload of somebody else's."""
    other = node.given_account("Other")
    media = given_media(other)
    assert node.post(raw(other, media), body=SHORT, headers={"content-type": "audio/wav"}).status == 200
    return media


@pytest.mark.parametrize(
    ("noun", "data"),
    [
        ("clicktocall", {"name": "b", "extension": "1", "ringback": "{M}"}),
        ("clicktocall", {"name": "b", "extension": "1", "music_on_hold": {"media_id": "{M}"}}),
        ("users", {"first_name": "a", "last_name": "b", "music_on_hold": {"media_id": "{M}"}}),
        ("devices", {"name": "d", "music_on_hold": {"media_id": "{M}"}}),
        ("callflows", {"numbers": ["1"], "ringback": {"early": "{M}"},
                       "flow": {"module": "hangup", "data": {}}}),
        ("callflows", {"numbers": ["1"], "flow": {"module": "resources", "data": {"ringback": "{M}"}}}),
    ],
)  # fmt: skip
def test_another_accounts_upload_cannot_be_named(
    node: ApiNode, acme: TestAccount, foreign: str, noun: str, data: dict[str, object]
) -> None:
    named = json.loads(json.dumps(data).replace("{M}", foreign))
    answer = node.put(f"{acme.base}/{noun}", named)
    assert (answer.status, len(answer.data)) == (400, 1), answer.body
    own = given_media(acme)
    node.post(raw(acme, own), body=SHORT, headers={"content-type": "audio/wav"})
    assert node.put(f"{acme.base}/{noun}", json.loads(json.dumps(data).replace("{M}", own))).status == 201


def test_another_accounts_upload_is_not_heard_however_it_got_there(
    node: ApiNode, acme: TestAccount, foreign: str
) -> None:
    """An import takes what it finds, and media are deleted while buttons name them."""
    acme.given_two_phones()
    own = given_media(acme)
    node.post(raw(acme, own), body=SHORT, headers={"content-type": "audio/wav"})
    button = acme.given_button(ringback=own)
    path = f"{acme.base}/clicktocall/{button}/connect?contact=1002"
    assert node.get(f"{path}&dry_run=true").data["ringback"] == own

    past_validation(node, acme, "clicktocall", button, {"ringback": foreign})
    assert node.get(f"{path}&dry_run=true").data["ringback"] == ""
    assert node.get(path).status == 202


def test_another_accounts_upload_is_not_heard_on_hold(node: ApiNode, acme: TestAccount, foreign: str) -> None:
    device = acme.given_phone("dev1", "1001")
    acme.given_phone("dev2", "1002")
    own = given_media(acme)
    node.post(raw(acme, own), body=SHORT, headers={"content-type": "audio/wav"})
    path = f"{acme.base}/clicktocall/{acme.given_button()}/connect?contact=1002"
    for media, heard in ((own, own), (foreign, "")):
        past_validation(node, acme, "device", device, {"music_on_hold": {"media_id": media}})
        node.phones.dialed.clear()
        call = node.get(path).data["call_id"]
        settle(node)
        [leg] = [one.endpoint for one in node.phones.dialed if one.endpoint.endpoint_id == device]
        assert leg.hold_media == heard
        node.delete(f"{acme.base}/calls/{call}")
        settle(node)


def past_validation(node: ApiNode, acme: TestAccount, type: str, id: str, data: dict[str, object]) -> None:
    """Write into a document what the API would refuse."""

    async def write() -> None:
        stored = await node.store.documents.get(acme.id, id, type=type)
        assert stored is not None
        changed = msgspec.structs.replace(stored, data=stored.data | data)
        keys = keys_of(changed, realm=acme.realm)
        await node.store.documents.put(changed, keys, expected_revision=stored.revision)

    node.run(write())
