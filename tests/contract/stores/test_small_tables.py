import asyncio

import pytest

from offhook.app.ports import StoredBinding

pytestmark = pytest.mark.anyio


def given_binding(
    contact: str = "sip:dev1@192.0.2.1", *, expires_at: float = 100.0, data: bytes = b"1"
) -> StoredBinding:
    return StoredBinding(aor="sip:dev1@acme.example.com", contact=contact, expires_at=expires_at, data=data)


async def test_bindings_outlive_a_restart_unless_expired_or_removed(adapter, tmp_path):
    first = await adapter(tmp_path)
    first.bindings.save([given_binding("sip:a@x", data=b"old")])
    first.bindings.save([given_binding("sip:a@x", data=b"new"), given_binding("sip:b@x", expires_at=50.0)])
    first.bindings.save([given_binding("sip:c@x")])
    first.bindings.remove("sip:dev1@acme.example.com", "sip:c@x")
    await first.close()
    second = await adapter(tmp_path)
    assert await second.bindings.load(50.0) == [given_binding("sip:a@x", data=b"new")]
    assert await second.bindings.load(0.0) == [given_binding("sip:a@x", data=b"new")]
    await second.close()


async def test_a_setting_that_is_set_once_keeps_its_first_value(store):
    values = await asyncio.gather(*[store.settings.set_once("secret", str(n)) for n in range(5)])
    assert values == ["0"] * 5
    assert await store.settings.get("secret") == "0"
    await store.settings.set("secret", "9")
    assert await store.settings.get("secret") == "9"
    assert await store.settings.get("other") is None


async def test_a_revoked_token_is_known_until_it_expires(store):
    await store.revoked_tokens.revoke("t1", expires_at=100.0, now=0.0)
    await store.revoked_tokens.revoke("t2", expires_at=200.0, now=0.0)
    assert await store.revoked_tokens.is_revoked("t1")
    await store.revoked_tokens.revoke("t3", expires_at=300.0, now=100.0)
    assert [await store.revoked_tokens.is_revoked(f"t{n}") for n in range(1, 5)] == [False, True, True, False]


async def test_closing_twice_is_harmless(adapter, tmp_path):
    opened = await adapter(tmp_path)
    await opened.close()
    await opened.close()
    again = await adapter(tmp_path)
    assert not await again.revoked_tokens.is_revoked("t1")
    await again.close()
