"""Which addresses of a 3xx may be rung, and what they are told of the way."""

import msgspec
import pytest

from offhook.calls.model import EndpointKind, EndpointPlan, Redirect
from offhook.engines.embedded.redirects import RedirectRules, targets_of, with_history
from offhook.sip.message import Headers, Response

ON = RedirectRules(follows=True, hosts=frozenset(("there.test", "*.cloud.test")))


def endpoint(**redirect: object) -> EndpointPlan:
    return EndpointPlan(
        leg_id="b", kind=EndpointKind.GATEWAY, request_uri="sip:1@gw.test", to_uri="sip:1@gw.test",
        from_uri="sip:2@acme.test", redirect=Redirect(**redirect),  # type: ignore[arg-type]
    )  # fmt: skip


def moved(*contacts: str, status: int = 302) -> Response:
    return Response(status, "Moved", Headers([("Contact", contact) for contact in contacts]))


def test_the_best_address_comes_first() -> None:
    told = moved(
        "<sip:a@there.test>;q=0.2, <sip:b@there.test>", "<sip:c@x.cloud.test:5070;transport=tcp>;q=0.7"
    )
    assert targets_of(ON, endpoint(), told) == (
        "sip:b@there.test", "sip:c@x.cloud.test:5070;transport=tcp", "sip:a@there.test",
    )  # fmt: skip


@pytest.mark.parametrize(
    "contact",
    [
        "<sip:a@elsewhere.test>",
        "<sip:a@there.test;maddr=10.0.0.1>",
        "<sip:a:secret@there.test>",
        "<tel:+15551234567>",
        "<mailto:a@there.test>",
        "*",
        "<sip:a@there.test",
        "<sip:a@cloud.test>",
        f"<sip:{'a' * 2_000}@there.test>",
    ],
)
def test_what_is_not_allowed_is_not_rung(contact: str) -> None:
    assert targets_of(ON, endpoint(), moved(contact)) == ()


def test_headers_of_an_address_are_left_out() -> None:
    assert targets_of(ON, endpoint(), moved("<sip:a@there.test?Replaces=x>")) == ("sip:a@there.test",)


@pytest.mark.parametrize("status", [305, 380, 404])
def test_what_is_no_address_to_ring_is_not_followed(status: int) -> None:
    assert targets_of(ON, endpoint(), moved("<sip:a@there.test>", status=status)) == ()


@pytest.mark.parametrize(
    ("rules", "follow", "is_followed"),
    [
        (RedirectRules(), None, False),
        (RedirectRules(), True, True),
        (RedirectRules(follows=True), None, True),
        (RedirectRules(follows=True), False, False),
    ],
)
def test_the_endpoints_word_goes_before_the_nodes(
    rules: RedirectRules, follow: bool | None, is_followed: bool
) -> None:
    told = targets_of(rules, endpoint(follow=follow, hosts=("gw.test",)), moved("<sip:2@gw.test:5080>"))
    assert bool(told) is is_followed


def test_a_redirected_leg_says_where_it_was() -> None:
    plan = msgspec.structs.replace(
        endpoint(tried=("sip:1@gw.test;transport=tcp", "sip:1@two.test")), request_uri="sip:1@three.test"
    )
    assert with_history(plan) == (
        (
            "Diversion",
            "<sip:1@two.test>;reason=unconditional;counter=1, "
            "<sip:1@gw.test>;reason=unconditional;counter=1",
        ),
        (
            "History-Info",
            "<sip:1@gw.test>;index=1, <sip:1@two.test;cause=302>;index=1.1;mp=1, "
            "<sip:1@three.test;cause=302>;index=1.1.1;mp=1.1",
        ),
    )  # fmt: skip


def test_an_earlier_forward_stays_in_the_history() -> None:
    plan = msgspec.structs.replace(
        endpoint(tried=("sip:1@gw.test",)),
        request_uri="sip:1@two.test",
        headers=(
            ("X-Own", "1"),
            ("Diversion", "<sip:9@acme.test>;reason=unavailable;counter=1"),
            ("History-Info", "<sip:9@acme.test>;index=1, <sip:1@gw.test;cause=503>;index=1.1;mp=1"),
        ),
    )
    own, diversion, history = with_history(plan)
    assert own == ("X-Own", "1")
    assert diversion[1].startswith("<sip:1@gw.test>;reason=unconditional;counter=1, <sip:9@acme.test>")
    assert history[1].endswith("<sip:1@two.test;cause=302>;index=1.1.1;mp=1.1")


def test_a_leg_that_was_not_redirected_is_as_planned() -> None:
    plan = msgspec.structs.replace(endpoint(), headers=(("X-Own", "1"),))
    assert with_history(plan) is plan.headers
