"""Documents and calls to store."""

from offhook.app.ports import Document
from offhook.calls.model import CallPlan, PartyPlan, Side

ACCOUNT = "a" * 32
BUTTON = "c" * 32


def given_document(number: int = 1, *, account_id: str = ACCOUNT, type: str = "device", **data) -> Document:
    return Document(
        id=f"{number:032x}",
        account_id=account_id,
        type=type,
        data={"name": f"Desk {number}", **data},
        private={"secret": number},
        created_at=1000.0 + number,
        modified_at=1000.0 + number,
    )


def given_plan(call_id: str = "c2c-1", *, account_id: str = ACCOUNT) -> CallPlan:
    return CallPlan(
        call_id=call_id,
        account_id=account_id,
        kind="clicktocall",
        authorizing_id=BUTTON,
        authorizing_type="clicktocall",
        interaction_id="63876500000-1a2b3c4d",
        first=PartyPlan(side=Side.EXTENSION, number="1001"),
        second=PartyPlan(side=Side.CONTACT, number="+14158867900"),
        contact="+14158867900",
    )


def given_history(number: int = 1, *, timestamp: int = 63876500000) -> dict:
    return {"id": f"{number:032x}", "timestamp": timestamp, "contact": "1002", "result": "success"}


def given_cdr(
    number: int = 1, *, timestamp: int = 63876500000, interaction: str = "i1", owner: str = ""
) -> dict:
    return {
        "id": f"202403-leg-{number}",
        "call_id": f"leg-{number}",
        "timestamp": timestamp,
        "interaction_id": interaction,
        "custom_channel_vars": {"owner_id": owner} if owner else {},
        "custom_application_vars": {"number": str(number)},
    }
