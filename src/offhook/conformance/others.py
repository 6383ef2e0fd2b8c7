"""Webhooks, websockets, and the smaller nouns (kazoo-behaviour 7.7, 7.8, 10, 11)."""

import io
import wave

from .kit import OK, Kit

HOOKS = {"channel_create", "channel_answer", "channel_bridge", "channel_destroy", "object"}


def webhooks(kit: Kit) -> None:
    """What there is to subscribe to, samples, attempts, re-enabling."""
    kit.expect(
        "webhooks: available, without a token",
        kit.ask("GET", "/v2/webhooks", token=""),
        200,
        wants=", ".join(sorted(HOOKS)),
        holds=lambda a: {hook["id"] for hook in a.data} >= HOOKS,
    )
    names = kit.ask("GET", "/v2/webhooks/samples", token="")
    kit.expect(
        "webhooks: samples, without a token",
        names,
        200,
        wants="names",
        holds=lambda a: all(isinstance(name, str) for name in a.data) and len(a.data) > 0,
    )
    first = names.data[0] if isinstance(names.data, list) and names.data else "x"
    kit.expect(
        "webhooks: one sample",
        kit.ask("GET", f"/v2/webhooks/samples/{first}", token=""),
        200,
        wants="payloads",
        holds=lambda a: isinstance(a.data, list),
    )
    kit.fails("webhooks: a sample nobody has", kit.ask("GET", "/v2/webhooks/samples/x", token=""), 404)
    _hooks(kit, f"{kit.base}/webhooks")


def _hooks(kit: Kit, path: str) -> None:
    new = {"name": "Kit", "uri": "http://127.0.0.1:1/", "hook": "all"}
    kit.invalid("webhooks: an address that is not public", kit.ask("PUT", path, new), uri="error")
    kit.invalid(
        "webhooks: a hook nobody has",
        kit.ask("PUT", path, new | {"uri": "https://example.com/", "hook": "x"}),
        hook="enum",
    )
    objects = new | {"uri": "https://example.com/", "hook": "object"}
    kit.invalid(
        "webhooks: object without modifiers", kit.ask("PUT", path, objects), custom_data__type="required"
    )
    kit.expect(
        "webhooks: attempts",
        kit.ask("GET", f"{path}/attempts"),
        200,
        wants="a list",
        holds=lambda a: isinstance(a.data, list),
    )
    kit.expect(
        "webhooks: re-enable",
        kit.ask("PATCH", path, {"re-enable": True}),
        200,
        wants="hooks updated",
        holds=lambda a: a.data == "hooks updated",
    )
    kit.invalid("webhooks: re-enable missing", kit.ask("PATCH", path, {}), **{"re-enable": "required"})
    below = kit.ask("PATCH", f"{kit.base}/descendants/webhooks", {"re-enable": True})
    kit.expect("webhooks: re-enable in all below", below, 200)


def websockets(kit: Kit) -> None:
    """What may be bound, which sockets are open."""
    kit.expect(
        "websockets: bindings, without a token",
        kit.ask("GET", "/v2/websockets", token=""),
        200,
        wants="call and object",
        holds=lambda a: {"call", "object"} <= a.data.keys(),
    )
    kit.expect(
        "websockets: open ones",
        kit.ask("GET", f"{kit.base}/websockets"),
        200,
        wants="none",
        holds=lambda a: a.data == [],
    )


def settings_of_accounts(kit: Kit) -> None:
    """Limits and numbers."""
    kit.expect(
        "limits: GET",
        kit.ask("GET", f"{kit.base}/limits"),
        200,
        wants="an object",
        holds=lambda a: isinstance(a.data, dict),
    )
    kit.expect(
        "limits: POST",
        kit.ask("POST", f"{kit.base}/limits", {"calls": 5}),
        200,
        wants="calls 5",
        holds=lambda a: a.data["calls"] == 5,
    )
    kit.invalid(
        "limits: POST of a text", kit.ask("POST", f"{kit.base}/limits", {"calls": "many"}), calls="type"
    )
    kit.expect(
        "phone_numbers: GET",
        kit.ask("GET", f"{kit.base}/phone_numbers"),
        200,
        wants="numbers",
        holds=lambda a: isinstance(a.data["numbers"], dict),
    )
    added = kit.ask("PUT", f"{kit.base}/phone_numbers/%2B14155550142", {})
    kit.expect(
        "phone_numbers: PUT", added, OK, wants="id and state", holds=lambda a: a.data["id"] == "+14155550142"
    )
    kit.expect("phone_numbers: DELETE", kit.ask("DELETE", f"{kit.base}/phone_numbers/%2B14155550142"), OK)


def schemas_and_search(kit: Kit) -> None:
    """What documents look like, and how they are found."""
    kit.expect(
        "schemas: list",
        kit.ask("GET", "/v2/schemas"),
        200,
        wants="names or summaries",
        holds=lambda a: len(a.data) > 5,
    )
    kit.expect(
        "schemas: one",
        kit.ask("GET", "/v2/schemas/clicktocall"),
        200,
        wants="properties",
        holds=lambda a: "extension" in a.data["properties"],
    )
    checked = kit.ask("PUT", "/v2/schemas/clicktocall/validation", {"name": "x", "extension": "1"})
    kit.expect("schemas: validation of a good document", checked, OK)
    kit.invalid(
        "schemas: validation of a bad one",
        kit.ask("PUT", "/v2/schemas/clicktocall/validation", {"name": "x"}),
        extension="required",
    )
    kit.create("users", {"first_name": "Sought", "last_name": "Zebra"})
    found = kit.ask("GET", f"{kit.base}/search", query={"t": "user", "q": "name", "v": "zeb"})
    kit.expect(
        "search: users by name",
        found,
        200,
        wants="the one whose name begins so",
        holds=lambda a: [item["last_name"] for item in a.data] == ["Zebra"],
    )


def media(kit: Kit) -> None:
    """Upload a sound and fetch it."""
    path = f"{kit.base}/media"
    created = kit.ask("PUT", path, {"name": "Hold", "media_source": "upload"})
    if not kit.expect(
        "media: PUT of the description", created, 201, wants="id", holds=lambda a: bool(a.data["id"])
    ):
        return
    item = f"{path}/{created.data['id']}"
    sound = _wav()
    kit.expect(
        "media: POST of a WAV file",
        kit.ask("POST", f"{item}/raw", body=sound, headers={"content-type": "audio/wav"}),
        200,
    )
    kit.expect(
        "media: GET of the sound",
        kit.ask("GET", f"{item}/raw"),
        200,
        wants="the same bytes",
        holds=lambda a: a.body == sound,
    )
    kit.expect(
        "media: list",
        kit.ask("GET", path),
        200,
        wants="name and media_source",
        holds=lambda a: {"id", "name", "media_source"} <= a.data[0].keys(),
    )
    kit.expect("media: DELETE", kit.ask("DELETE", item), 200)


def _wav() -> bytes:
    """Return a tenth of a second of silence."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8_000)
        sound.writeframes(bytes(1_600))
    return file.getvalue()
