"""From a request to a CallPlan, and the answers and records that KAZOO clients expect.

`read_connect` / `read_quickcall` understand a request, `plan_connect` / `plan_quickcall` make the plan.
Planning is deterministic: same documents, registrations, random numbers and time, same plan.
"""

from .connect import plan_connect
from .dialling import may_dial_out
from .errors import (
    BadNumberFilter,
    BadOption,
    CallRestricted,
    ContactMissing,
    ContactNotAllowed,
    DialOutBarred,
    NumberInvalid,
    NumberUnknown,
    PlanRefused,
    SipUriNotAllowed,
    TargetCallUnknown,
)
from .inbound import InboundRequest, plan_phone_call, plan_trunk_call
from .options import ConnectRequest, QuickcallRequest, read_connect, read_quickcall
from .originate_answer import quickcall_failure, visitor_answer
from .planned import Planned, Planning
from .profile import CallerId
from .quickcall import plan_quickcall
from .records import attempt, cdr_documents, ending_keys, history_item, record_call
from .rings import Binding
from .transfer import Replacement, plan_callflow, plan_number, plan_phones

__all__ = [
    "BadNumberFilter",
    "BadOption",
    "Binding",
    "CallRestricted",
    "CallerId",
    "ConnectRequest",
    "ContactMissing",
    "ContactNotAllowed",
    "DialOutBarred",
    "InboundRequest",
    "NumberInvalid",
    "NumberUnknown",
    "PlanRefused",
    "Planned",
    "Planning",
    "QuickcallRequest",
    "Replacement",
    "SipUriNotAllowed",
    "TargetCallUnknown",
    "attempt",
    "cdr_documents",
    "ending_keys",
    "history_item",
    "may_dial_out",
    "plan_callflow",
    "plan_connect",
    "plan_number",
    "plan_phone_call",
    "plan_phones",
    "plan_quickcall",
    "plan_trunk_call",
    "quickcall_failure",
    "read_connect",
    "read_quickcall",
    "record_call",
    "visitor_answer",
]
