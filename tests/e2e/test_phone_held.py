"""A call between two registered phones is held and taken back; uploaded music is what is heard."""

import asyncio
import io
import math
import struct
import wave
from typing import Any

from offhook.phone import PhoneSettings, SoftPhone
from offhook.system import SystemClock, SystemRandom

from .harness import Account, Server
from .test_phone_joined import until

FIRST_HZ, SECOND_HZ, MUSIC_HZ = 600.0, 1000.0, 1400.0


def music() -> bytes:
    """Return a second of a tone, as a WAV file of 16 kHz."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        samples = (int(9_000 * math.sin(2 * math.pi * MUSIC_HZ * n / 16_000)) for n in range(16_000))
        file.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return out.getvalue()


def given_music(account: Account) -> str:
    media = account.create("media", {"name": "Hold"})
    path = account.path("media", media, "raw")
    account.client.request("POST", path, body=music(), headers={"Content-Type": "audio/wav"}).expect(200)
    return media


def given_phone(server: Server, account: Account, number: int, tone_hz: float) -> SoftPhone:
    device = account.create_phone(f"dev{number}", f"secret-{number}")
    account.create_extension(f"100{number}", device)
    settings = PhoneSettings(
        username=f"dev{number}", password=f"secret-{number}", realm=account.realm,
        server=(server.host, server.sip_port), tone_hz=tone_hz,
        listen_for_hz=(FIRST_HZ, SECOND_HZ, MUSIC_HZ), answer_after_s=0.5 if number == 2 else 0.0,
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
