"""Documents of every type: create, read, replace, patch, delete, list (kazoo-behaviour 5, 7, 12)."""

from dataclasses import dataclass

from offhook.client import Answer, Json

from .kit import ID, Kit, has


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of document, and values to try."""

    noun: str
    new: Json
    replaced: Json
    """Whole document for POST."""
    patch: Json
    required: str
    """A field without which it is refused."""
    listed: tuple[str, ...] = ("id",)
    """Keys of a list item."""


KINDS = (
    Kind(
        "users",
        {"first_name": "Jane", "last_name": "Doe", "department": "sales"},
        {"first_name": "Janet", "last_name": "Doe"},
        {"last_name": "Roe"},
        "last_name",
        ("id", "first_name", "last_name"),
    ),
    Kind(
        "devices",
        {"name": "Desk", "sip": {"username": "conform1", "password": "s3cret-pass"}, "colour": "red"},
        {"name": "Desk 2", "sip": {"username": "conform1", "password": "s3cret-pass"}},
        {"name": "Desk 3"},
        "name",
        ("id", "name"),
    ),
    Kind(
        "callflows",
        {"numbers": ["4001"], "flow": {"module": "hangup", "data": {}, "children": {}}, "colour": "red"},
        {"numbers": ["4002"], "flow": {"module": "hangup", "data": {}, "children": {}}},
        {"name": "Main"},
        "numbers",
        ("id", "numbers", "patterns"),
    ),
    Kind(
        "clicktocall",
        {"name": "Support", "extension": "4001", "colour": "red"},
        {"name": "Sales", "extension": "4001"},
        {"caller_id_number": "4009"},
        "extension",
        ("id", "name", "extension"),
    ),
    Kind(
        "resources",
        {"name": "Carrier", "gateways": [{"server": "sip.example.net"}], "colour": "red"},
        {"name": "Carrier 2", "gateways": [{"server": "sip.example.net"}]},
        {"weight_cost": 10},
        "gateways",
        ("id", "name"),
    ),
    Kind(
        "webhooks",
        {
            "name": "Ends",
            "uri": "https://example.com/hook",
            "hook": "channel_destroy",
            "enabled": False,
            "colour": "red",
        },
        {"name": "Ends 2", "uri": "https://example.com/hook", "hook": "channel_destroy", "enabled": False},
        {"retries": 3},
        "uri",
        ("id", "name", "uri", "hook"),
    ),
)


def documents(kit: Kit) -> None:
    """Walk every type."""
    for kind in KINDS:
        _walk(kit, kind)


def _walk(kit: Kit, kind: Kind) -> None:
    path, noun = f"{kit.base}/{kind.noun}", kind.noun
    incomplete = {key: value for key, value in kind.new.items() if key != kind.required}
    kit.invalid(
        f"{noun}: PUT without {kind.required}",
        kit.ask("PUT", path, incomplete),
        **{kind.required: "required"},
    )
    created = kit.ask("PUT", path, {**kind.new, "id": "mine", "pvt_type": "x"})
    made = kit.expect(
        f"{noun}: PUT creates",
        created,
        201,
        wants="id of 32 hex digits, the fields, Location",
        holds=lambda a: _is_created(a, kind),
    )
    if not made:
        return
    _read(kit, kind, created)
    item = f"{path}/{created.data['id']}"
    _change(kit, kind, item)
    kit.expect(
        f"{noun}: DELETE",
        kit.ask("DELETE", item),
        200,
        wants="_read_only.deleted",
        holds=lambda a: a.data["_read_only"]["deleted"] is True,
    )
    kit.fails(f"{noun}: GET after DELETE", kit.ask("GET", item), 404, word="bad_identifier")


def _read(kit: Kit, kind: Kind, created: Answer) -> None:
    path, noun, id = f"{kit.base}/{kind.noun}", kind.noun, created.data["id"]
    revision = str(created.envelope.get("revision", ""))
    kit.expect(
        f"{noun}: unknown keys are kept, private ones are not",
        created,
        201,
        holds=lambda a: "pvt_type" not in a.data and has(a.data, _extra(kind)),
    )
    kit.expect(
        f"{noun}: GET",
        kit.ask("GET", f"{path}/{id}"),
        200,
        wants="the same document and revision",
        holds=lambda a: a.data["id"] == id and a.envelope["revision"] == revision,
    )
    kit.expect(
        f"{noun}: list",
        kit.ask("GET", path),
        200,
        wants=f"an item with {', '.join(kind.listed)}",
        holds=lambda a: any(i["id"] == id and set(kind.listed) <= i.keys() for i in a.data),
    )


def _change(kit: Kit, kind: Kind, item: str) -> None:
    noun = kind.noun
    wrong = {"if-match": '"9-00000000000000000000000000000000"'}
    kit.expect(
        f"{noun}: If-Match with another revision", kit.ask("PATCH", item, kind.patch, headers=wrong), 412
    )
    kit.expect(
        f"{noun}: PATCH merges",
        kit.ask("PATCH", item, kind.patch),
        200,
        wants=str(kind.patch),
        holds=lambda a: has(a.data, kind.patch) and has(a.data, _extra(kind)),
    )
    if _extra(kind):
        name = next(iter(_extra(kind)))
        kit.expect(
            f"{noun}: PATCH with null removes",
            kit.ask("PATCH", item, {name: None}),
            200,
            holds=lambda a: name not in a.data,
        )
    kit.expect(
        f"{noun}: POST replaces",
        kit.ask("POST", item, kind.replaced),
        200,
        wants="no fields from before",
        holds=lambda a: _is_replaced(a, kind),
    )


def _is_created(answer: Answer, kind: Kind) -> bool:
    data = answer.data
    place = answer.headers["location"]
    same = {key: value for key, value in kind.new.items() if not isinstance(value, dict | list)}
    return bool(ID.match(data["id"])) and has(data, same) and place.endswith(f"/{kind.noun}/{data['id']}")


def _is_replaced(answer: Answer, kind: Kind) -> bool:
    gone = [key for key in kind.patch if key not in kind.replaced and answer.data.get(key) == kind.patch[key]]
    same = {key: value for key, value in kind.replaced.items() if not isinstance(value, dict | list)}
    return has(answer.data, same) and not gone


def _extra(kind: Kind) -> Json:
    """Return a field of `new` that no schema knows."""
    return {key: kind.new[key] for key in ("department", "colour") if key in kind.new}


def accounts(kit: Kit) -> None:
    """The tree, the API key, the account itself."""
    shown = kit.ask("GET", kit.base)
    kit.expect(
        "accounts: GET",
        shown,
        200,
        wants="name, realm, id, and no API key",
        holds=lambda a: a.data["id"] == kit.account_id and "api_key" not in a.data,
    )
    kit.expect(
        "accounts: PATCH",
        kit.ask("PATCH", kit.base, {"timezone": "Europe/Berlin"}),
        200,
        holds=lambda a: a.data["timezone"] == "Europe/Berlin",
    )
    taken = kit.ask("PUT", "/v2/accounts", {"name": f"x{kit.realm}", "realm": kit.realm})
    kit.invalid("accounts: a realm that is taken", taken, realm="unique")
    child = kit.ask("PUT", kit.base, {"name": f"Child of {kit.realm}"})
    kit.expect(
        "accounts: PUT to an account makes a child",
        child,
        201,
        wants="id and a realm",
        holds=lambda a: bool(ID.match(a.data["id"])) and bool(a.data["realm"]),
    )
    child_id = str(child.data.get("id", "")) if isinstance(child.data, dict) else ""
    _tree(kit, child_id)
    _api_key(kit)
    _tree_of_resellers(kit, child_id)
    kit.fails(
        "accounts: DELETE with children",
        kit.ask("DELETE", kit.base),
        {400, 409, 500},
        word="account_has_descendants",
    )
    kit.expect("accounts: DELETE", kit.ask("DELETE", f"/v2/accounts/{child_id}"), 200)
    kit.fails("accounts: GET after DELETE", kit.ask("GET", f"/v2/accounts/{child_id}"), {403, 404})


def _tree(kit: Kit, child_id: str) -> None:
    for noun in ("children", "descendants"):
        kit.expect(
            f"accounts: {noun}",
            kit.ask("GET", f"{kit.base}/{noun}"),
            200,
            wants="the child, and how many are below it",
            holds=lambda a: any(i["id"] == child_id and not i.get("descendants_count") for i in a.data),
        )
    for noun in ("parents", "tree"):
        kit.expect(
            f"accounts: {noun}",
            kit.ask("GET", f"/v2/accounts/{child_id}/{noun}"),
            200,
            wants="ancestors, root first",
            holds=lambda a: a.data[-1]["id"] == kit.account_id,
        )
    kit.expect(
        "accounts: siblings",
        kit.ask("GET", f"/v2/accounts/{child_id}/siblings"),
        200,
        wants="a list",
        holds=lambda a: isinstance(a.data, list),
    )


def _api_key(kit: Kit) -> None:
    before = kit.ask("GET", f"{kit.base}/api_key")
    kit.expect(
        "accounts: API key", before, 200, wants="64 hex digits", holds=lambda a: len(a.data["api_key"]) == 64
    )
    kit.expect(
        "accounts: a new API key",
        kit.ask("PUT", f"{kit.base}/api_key"),
        {200, 201},
        wants="another one",
        holds=lambda a: a.data["api_key"] != before.data["api_key"],
    )


def _tree_of_resellers(kit: Kit, child_id: str) -> None:
    """What only the master account may do; another account's key gets 403."""
    path = f"/v2/accounts/{child_id}"
    allowed = {200, 201, 403}
    kit.expect("accounts: reseller", kit.ask("PUT", f"{path}/reseller", {}), allowed)
    kit.expect("accounts: reseller no longer", kit.ask("DELETE", f"{path}/reseller"), allowed)
    moved = kit.ask("POST", f"{path}/move", {"to": kit.account_id})
    kit.expect("accounts: move", moved, allowed)


def uniqueness(kit: Kit) -> None:
    """Keys that two documents may not share."""
    user = {"first_name": "A", "last_name": "B", "username": "conform-unique", "password": "s3cret-pass"}
    kit.create("users", user)
    kit.invalid(
        "users: a username that is taken", kit.ask("PUT", f"{kit.base}/users", user), username="unique"
    )
    device = {"name": "A", "sip": {"username": "conform-unique", "password": "s3cret-pass"}}
    kit.create("devices", device)
    kit.invalid(
        "devices: a SIP username that is taken",
        kit.ask("PUT", f"{kit.base}/devices", device),
        sip__username="unique",
    )
    made = kit.ask("PUT", f"{kit.base}/devices", {"name": "Bare"})
    kit.expect(
        "devices: SIP credentials are made up",
        made,
        201,
        wants="sip.username and sip.password",
        holds=lambda a: bool(a.data["sip"]["username"]) and bool(a.data["sip"]["password"]),
    )
    flow = {"numbers": ["4100"], "flow": {"module": "hangup", "data": {}, "children": {}}}
    kit.create("callflows", flow)
    kit.invalid(
        "callflows: a number that is taken", kit.ask("PUT", f"{kit.base}/callflows", flow), numbers="unique"
    )


def lists(kit: Kit) -> None:
    """Pages, filters, order, CSV."""
    for n in range(5):
        kit.create("clicktocall", {"name": f"List {n}", "extension": f"41{n}", "group": "list"})
    path, mine = f"{kit.base}/clicktocall", {"filter_group": "list"}
    _pages(kit, path, mine)
    _filters(kit, path, mine)
    kit.fails("lists: a page_size of zero", kit.ask("GET", path, query={"page_size": "0"}), {400, 404})
    kit.expect("lists: unknown parameters are ignored", kit.ask("GET", path, query={"colour": "red"}), 200)


def _pages(kit: Kit, path: str, mine: dict[str, str]) -> None:
    first = kit.ask("GET", path, query=mine | {"page_size": "2"})
    kit.expect(
        "lists: a page",
        first,
        200,
        wants="2 items, page_size, next_start_key",
        holds=lambda a: len(a.data) == a.envelope["page_size"] == 2 and a.envelope["next_start_key"],
    )
    seen, key = [item["id"] for item in first.data or []], first.envelope.get("next_start_key", "")
    for _ in range(3):
        if key:
            page = kit.ask("GET", path, query=mine | {"page_size": "2", "start_key": str(key)})
            seen += [item["id"] for item in page.data or []]
            key = page.envelope.get("next_start_key", "")
    kit.expect(
        "lists: pages neither skip nor repeat",
        first,
        200,
        wants="5 different items in 3 pages",
        holds=lambda a: len(seen) == len(set(seen)) == 5 and not key,
    )
    kit.expect(
        "lists: paginate=false",
        kit.ask("GET", path, query=mine | {"paginate": "false"}),
        200,
        wants="5 items and no paging keys",
        holds=lambda a: len(a.data) == 5 and "next_start_key" not in a.envelope,
    )
    kit.expect(
        "lists: in chunks",
        kit.ask("GET", path, query=mine | {"is_chunked": "true", "chunk_size": "2"}),
        200,
        wants="5 items, data first",
        holds=lambda a: len(a.data) == 5 and a.body.startswith(b'{"data":['),
    )


def _filters(kit: Kit, path: str, mine: dict[str, str]) -> None:
    kit.expect(
        "lists: filter_ by a value",
        kit.ask("GET", path, query={"filter_name": "List 3"}),
        200,
        holds=lambda a: [i["name"] for i in a.data] == ["List 3"],
    )
    kit.expect(
        "lists: filter_not_",
        kit.ask("GET", path, query=mine | {"filter_not_name": "List 3"}),
        200,
        holds=lambda a: len(a.data) == 4,
    )
    kit.expect(
        "lists: has_key",
        kit.ask("GET", path, query={"has_key": "group"}),
        200,
        holds=lambda a: len(a.data) == 5,
    )
    kit.expect(
        "lists: key_missing",
        kit.ask("GET", path, query={"key_missing": "name"}),
        200,
        holds=lambda a: a.data == [],
    )
    kit.expect(
        "lists: created_from",
        kit.ask("GET", path, query={"created_from": "99999999999"}),
        200,
        holds=lambda a: a.data == [],
    )
