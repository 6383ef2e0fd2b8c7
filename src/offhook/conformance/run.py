"""The whole kit, from login to the removal of what it made."""

import secrets
from collections.abc import Callable

from offhook.client import ApiClient

from . import calls, documents, logins, others, phones
from .kit import UNKNOWN_FORM, Kit, Row

SEQUENCES: tuple[Callable[[Kit], None], ...] = (
    logins.logins,
    logins.tokens,
    logins.envelope,
    logins.errors,
    documents.accounts,
    documents.documents,
    documents.uniqueness,
    documents.lists,
    calls.buttons,
    calls.quickcalls,
    calls.records,
    calls.live,
    phones.phones,
    phones.carriers_at_once,
    others.webhooks,
    others.websockets,
    others.settings_of_accounts,
    others.schemas_and_search,
    others.media,
)


def run_kit(target: str, api_key: str, *, show: Callable[[Row], None] = lambda row: None) -> list[Row]:
    """Return a row for everything that was tried. Raises ApiUnreachable, ApiRefused if there is no login."""
    kit = Kit(ApiClient(target).login(api_key), api_key)
    kit.realm = f"conform-{secrets.token_hex(6)}.example.com"
    created = kit.ask(
        "PUT",
        f"/v2/accounts/{kit.client.account_id}",
        {"name": f"Conformance {kit.realm}", "realm": kit.realm},
    )
    if not kit.expect(
        "accounts: PUT creates a child", created, 201, holds=lambda a: a.data["realm"] == kit.realm
    ):
        show(kit.rows[-1])
        return kit.rows
    kit.account_id = str(created.data["id"])
    told = 0
    try:
        for sequence in SEQUENCES:
            _go_through(sequence, kit)
            for row in kit.rows[told:]:
                show(row)
            told = len(kit.rows)
    finally:
        gone = kit.ask("DELETE", kit.base)
    kit.expect("accounts: DELETE of all that was made", gone, 200)
    show(kit.rows[-1])
    return kit.rows


def _go_through(sequence: Callable[[Kit], None], kit: Kit) -> None:
    """Run a sequence as far as the answers let it: one it cannot build upon is a row, and the next begins."""
    try:
        sequence(kit)
    except UNKNOWN_FORM as error:
        kit.rows.append(Row(f"{sequence.__name__}: the rest", "answers to build upon", repr(error), ok=False))
