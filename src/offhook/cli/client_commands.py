"""Commands that speak to a server over its API: options here, work in `remote` and `conform`."""

import sys
from typing import Annotated

from cyclopts import Parameter

DEFAULT_SERVER = "http://127.0.0.1:8000"

Server = Annotated[
    str, Parameter(env_var="OFFHOOK_SERVER", help="Address of the API; OFFHOOK_SERVER names it too.")
]
ApiKey = Annotated[
    str, Parameter(env_var="OFFHOOK_API_KEY", help="API key of an account (or OFFHOOK_API_KEY).")
]
Token = Annotated[
    str, Parameter(env_var="OFFHOOK_TOKEN", help="Token, in place of an API key (or OFFHOOK_TOKEN).")
]
Contact = Annotated[str, Parameter(help="Whom to call: a number, an extension or an allowed SIP URI.")]
Account = Annotated[str, Parameter(help="Id of the account; default: the one of the key or token.")]
Button = Annotated[str, Parameter(help="Id of the button to press.")]
Device = Annotated[str, Parameter(help="Id of the device that is to call.")]
User = Annotated[str, Parameter(help="Id of the user whose devices are to call.")]
Options = Annotated[
    list[str] | None, Parameter(name="--option", help="name=value of connect or quickcall; may be repeated.")
]
AsJson = Annotated[bool, Parameter(name="--json", help="Print JSON, for programs.")]


def call(
    contact: Contact,
    /,
    *,
    button: Button = "",
    device: Device = "",
    user: User = "",
    account: Account = "",
    option: Options = None,
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
    token: Token = "",
    json: AsJson = False,
) -> None:
    """Place a call and follow it to its outcome: `offhook call +14155550142 --button ID`. Ctrl-C ends it.

    Exit status: 0 connected, 10 busy, 11 no answer, 12 rejected, 13 unreachable, 14 canceled, 15 failed,
    16 platform error; 1 if no call was placed, or the server was lost.
    """
    from .remote import Access, Asked, run_call

    asked = Asked(contact, button, device, user, tuple(option or ()))
    sys.exit(run_call(Access(server, api_key, token, account), asked, as_json=json))


def explain(
    contact: Contact,
    /,
    *,
    button: Button = "",
    device: Device = "",
    user: User = "",
    account: Account = "",
    option: Options = None,
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
    token: Token = "",
    json: AsJson = False,
) -> None:
    """Say what `offhook call` would do, and call nobody.

    Exit status: 0 if both parties have something to ring, 13 if one is unreachable, 1 if it is refused.
    """
    from .remote import Access, Asked, run_explain

    asked = Asked(contact, button, device, user, tuple(option or ()))
    sys.exit(run_explain(Access(server, api_key, token, account), asked, as_json=json))


def tail(
    binding: Annotated[str, Parameter(help="Which events: call.EVENT.CALL_ID or object.ACTION.TYPE.")] = "",
    /,
    *,
    count: Annotated[int, Parameter(help="Stop after so many events; 0: run until Ctrl-C.")] = 0,
    account: Account = "",
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
    token: Token = "",
    json: AsJson = False,
) -> None:
    """Follow the events of an account as they happen; default: all of calls and documents."""
    from .remote import Access
    from .tail import run_tail

    bindings = (binding,) if binding else ("call.*.*", "object.*.*")
    sys.exit(run_tail(Access(server, api_key, token, account), bindings, count=count, as_json=json))


def conform(
    *,
    target: Annotated[str, Parameter(help="Address of the API to be tried.")],
    api_key: Annotated[
        str, Parameter(env_var="OFFHOOK_API_KEY", help="API key of an account that may have children.")
    ],
    json: AsJson = False,
) -> None:
    """Try every endpoint of a server that speaks KAZOO's API, and say what is as expected.

    It works in an account of its own, which it deletes. Exit status: 0 if all is as expected, 1 if not, 2
    if there was no login.
    """
    from .conform import run_conform

    sys.exit(run_conform(target, api_key, as_json=json))
