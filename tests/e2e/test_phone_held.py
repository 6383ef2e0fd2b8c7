"""A call between two registered phones is held and taken back; uploaded music is what is heard."""

import asyncio
import io
import math
import struct
import subprocess
import wave
from pathlib import Path
from typing import Any

import pytest

from offhook.phone import PhoneSettings, SoftPhone
from offhook.system import SystemClock, SystemRandom

from .harness import Account, Server
from .test_phone_joined import until

FIRST_HZ, SECOND_HZ, MUSIC_HZ = 600.0, 1000.0, 1400.0


ENCODERS = {
    "audio/mp3": ("lame", "--quiet", "{wav}", "{out}"),
    "audio/ogg": ("oggenc", "-Q", "{wav}", "-o", "{out}"),
    "audio/flac": ("flac", "-s", "-f", "{wav}", "-o", "{out}"),
}
ENCODED_HZ = {"audio/mp3": 1_800.0, "audio/ogg": 2_200.0, "audio/flac": 2_600.0}


def music(tone_hz: float = MUSIC_HZ) -> bytes:
    """Return a second of a tone, as a WAV file of 16 kHz."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        samples = (int(9_000 * math.sin(2 * math.pi * tone_hz * n / 16_000)) for n in range(16_000))
        file.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return out.getvalue()


def encoded_music(kind: str, folder: Path) -> bytes:
    """Return the tone of a kind of file, as the usual program writes it."""
    source, target = folder / "tone.wav", folder / "tone.out"
    source.write_bytes(music(ENCODED_HZ[kind]))
    words = {"wav": str(source), "out": str(target)}
    subprocess.run([word.format_map(words) for word in ENCODERS[kind]], check=True, timeout=60)
    return target.read_bytes()


def given_music(account: Account, content: bytes = b"", kind: str = "audio/wav") -> str:
    media = account.create("media", {"name": "Hold"})
    path = account.path("media", media, "raw")
    sent = account.client.request("POST", path, body=content or music(), headers={"Content-Type": kind})
    sent.expect(200)
    return media


def given_phone(server: Server, account: Account, number: int, tone_hz: float, *more_hz: float) -> SoftPhone:
    device = account.create_phone(f"dev{number}", f"secret-{number}")
    account.create_extension(f"100{number}", device)
    settings = PhoneSettings(
        username=f"dev{number}", password=f"secret-{number}", realm=account.realm,
        server=(server.host, server.sip_port), tone_hz=tone_hz,
        listen_for_hz=(FIRST_HZ, SECOND_HZ, MUSIC_HZ, *more_hz), answer_after_s=0.5 if number == 2 else 0.0,
    )  # fmt: skip
    return SoftPhone(settings, clock=SystemClock(), random=SystemRandom(), on_event=lambda event: None)


def test_uploaded_music_is_heard_as_ringback_and_on_hold(server: Server, account: Account) -> None:
    def metaflow(channel: str, module: str, **data: Any) -> None:
        path = account.path("channels", channel)
        account.client.request("PUT", path, {"module": module, "data": data}).expect(201)

    async def scenario() -> None:
        first = given_phone(server, account, 1, FIRST_HZ)
        second = given_phone(server, account, 2, SECOND_HZ)
        await first.start()
        await second.start()
        try:
            await until(lambda: first.is_registered and second.is_registered)
            media = await asyncio.to_thread(given_music, account)
            button = account.create_button("1001", ringback=media)
            call_id = await asyncio.to_thread(account.connect, button, "1002")
            await until(lambda: first.heard(SECOND_HZ) > 0.3 and second.heard(FIRST_HZ) > 0.3)
            assert first.heard(MUSIC_HZ) > 0.1
            channels = await asyncio.to_thread(account.get, "channels")
            held = next(channel["uuid"] for channel in channels if channel["username"] == "dev2")
            await asyncio.to_thread(metaflow, held, "hold", media=media)
            await until(lambda: second.heard(MUSIC_HZ) > 0.3)
            before = first.heard(SECOND_HZ)
            await asyncio.to_thread(metaflow, held, "unhold")
            await until(lambda: first.heard(SECOND_HZ) > before + 0.3)
            await asyncio.to_thread(account.hang_up, call_id)
            call = await asyncio.to_thread(account.wait_for_outcome, call_id)
            assert (call["outcome"], call["by"]) == ("connected", "api")
            steps = [
                step["what"] for step in await asyncio.to_thread(account.get, "calls", call_id, "timeline")
            ]
            assert steps.count("leg_held") == 2
        finally:
            await first.stop()
            await second.stop()

    asyncio.run(scenario())


@pytest.mark.needs("lame", "oggenc", "flac")
def test_files_of_every_kind_are_heard(server: Server, account: Account, tmp_path: Path) -> None:
    async def scenario() -> None:
        first = given_phone(server, account, 1, FIRST_HZ)
        second = given_phone(server, account, 2, SECOND_HZ, *ENCODED_HZ.values())
        await first.start()
        await second.start()
        try:
            await until(lambda: first.is_registered and second.is_registered)
            button = account.create_button("1001")
            call_id = await asyncio.to_thread(account.connect, button, "1002")
            await until(lambda: second.heard(FIRST_HZ) > 0.3)
            channels = await asyncio.to_thread(account.get, "channels")
            held = next(channel["uuid"] for channel in channels if channel["username"] == "dev2")
            for kind, tone_hz in ENCODED_HZ.items():
                content = await asyncio.to_thread(encoded_music, kind, tmp_path)
                media = await asyncio.to_thread(given_music, account, content, kind)
                for module in ({"module": "hold", "data": {"media": media}}, {"module": "unhold"}):
                    path = account.path("channels", held)
                    done = await asyncio.to_thread(account.client.request, "PUT", path, module)
                    done.expect(201)
                    if module["module"] == "hold":
                        await until(lambda hz=tone_hz: second.heard(hz) > 0.3)
            await asyncio.to_thread(account.hang_up, call_id)
            call = await asyncio.to_thread(account.wait_for_outcome, call_id)
            assert call["outcome"] == "connected"
        finally:
            await first.stop()
            await second.stop()

    asyncio.run(scenario())
