"""Rates, overload, drain, storage lost: refusals that say when to come again (kazoo-behaviour 4)."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from offhook.api import ApiSettings
from offhook.app.call_limits import CallLimits
from offhook.app.errors import StorageLost, TooManyRequests
from offhook.app.limits import BUCKETS_MAX, LoginLimiter, Throttles, TokenBuckets
from offhook.app.token_costs import TokenCosts

from .node import ApiNode

Start = Callable[..., ApiNode]


@pytest.fixture
def given_node(tmp_path: Path) -> Iterator[Start]:
    nodes: list[ApiNode] = []

    def start(**options: object) -> ApiNode:
        nodes.append(ApiNode(tmp_path, **options))  # type: ignore[arg-type]
        return nodes[-1]

    yield start
    for node in nodes:
        node.stop()


def test_empty_bucket_is_429_and_refills(given_node: Start) -> None:
    node = given_node(settings=ApiSettings(rate_bucket=30, rate_refill_per_s=10))
    left = [node.get("/v2/token_auth").json["tokens"]["remaining"] for _ in range(3)]
    assert left == sorted(left, reverse=True)
    answers = [node.get("/v2/token_auth") for _ in range(40)]
    refused = answers[-1]
    assert refused.status == 429
    assert refused.json["message"] == "too_many_requests"
    assert refused.data == {"message": "too many requests"}
    assert int(refused.headers["retry-after"]) >= 1
    node.address = "192.0.2.8"
    assert node.get("/v2/token_auth").status == 200
    node.address = "192.0.2.7"
    node.clock.ahead_s += 2
    assert node.get("/v2/token_auth").status == 200


def test_logins_cost_more(given_node: Start) -> None:
    node = given_node(settings=ApiSettings(rate_bucket=100, rate_refill_per_s=0.001))
    answer = node.put("/v2/api_auth", {"api_key": "5" * 64}, token="")
    assert answer.json["tokens"] == {"consumed": 10, "remaining": 80}


def test_costs_are_as_the_settings_say(given_node: Start) -> None:
    costs = TokenCosts.parse("user_auth=35, quickcall=5, token_auth=0")
    node = given_node(settings=ApiSettings(rate_bucket=100, rate_refill_per_s=0.001, token_costs=costs))
    assert node.get("/v2/token_auth").json["tokens"]["consumed"] == 0
    assert node.get("/v2/schemas", token="").json["tokens"]["consumed"] == 1
    path = f"/v2/accounts/{node.master}/devices/{'f' * 32}/quickcall/1"
    assert node.get(path).json["tokens"]["consumed"] == 5


def test_a_login_that_cannot_be_paid_takes_the_rest(given_node: Start) -> None:
    node = given_node(settings=ApiSettings(rate_bucket=19, rate_refill_per_s=0.001))
    wrong = {"api_key": "6" * 64}
    assert node.put("/v2/api_auth", wrong, token="").status == 429  # the node's own took ten
    assert node.get("/v2/schemas", token="").status == 429
    node.address = "192.0.2.8"
    assert node.put("/v2/api_auth", wrong, token="").status == 404
    for _ in range(9):
        assert node.get("/v2/schemas", token="").status == 200
    assert node.get("/v2/schemas", token="").status == 429


def test_basic_credentials_cost_as_logins(given_node: Start) -> None:
    node = given_node(settings=ApiSettings(rate_bucket=100, rate_refill_per_s=0.001))
    path = f"/v2/accounts/{node.master}/devices"
    tried = [
        node.get(path, token="", headers={"authorization": f"Basic {number}"}).status for number in range(12)
    ]
    assert tried[0] == 401
    assert tried[-1] == 429


def test_forwarded_addresses_count_from_trusted_proxies_only(given_node: Start) -> None:
    node = given_node(settings=ApiSettings(rate_bucket=15, rate_refill_per_s=0.001))
    for _ in range(20):
        node.get("/v2/token_auth", headers={"x-forwarded-for": "198.51.100.1"})
    assert node.get("/v2/token_auth", headers={"x-forwarded-for": "198.51.100.2"}).status == 429
    node.address = "127.0.0.1"
    for _ in range(20):
        node.get("/v2/token_auth", headers={"x-forwarded-for": "9.9.9.9, 198.51.100.1"})
    assert node.get("/v2/token_auth", headers={"x-forwarded-for": "198.51.100.1"}).status == 429
    assert node.get("/v2/token_auth", headers={"x-forwarded-for": "198.51.100.2"}).status == 200


def test_too_many_calls_are_503(given_node: Start) -> None:
    node = given_node(limits=CallLimits(calls_max=1, calls_per_second=0))
    acme = node.given_account()
    acme.given_two_phones()
    path = f"{acme.base}/clicktocall/{acme.given_button(throttle=2)}/connect?contact=1002"
    assert node.get(path).status == 202
    refused = node.get(path)
    assert refused.status == 503
    assert refused.json["message"] == "overloaded"
    assert int(refused.headers["retry-after"]) >= 1
    assert node.get(f"{path}&dry_run=true").data["invocations_left"] == 1  # the refused one gave it back


def test_draining_node_is_503(given_node: Start) -> None:
    node = given_node()
    acme = node.given_account()
    device = acme.given_phone("dev1", "1001")
    assert node.run(node.calls.drain(1.0))
    for path in (f"{acme.base}/devices/{device}/quickcall/1001",
                 f"{acme.base}/clicktocall/{acme.given_button()}/connect?contact=1001"):  # fmt: skip
        refused = node.get(path)
        assert (refused.status, refused.json["message"]) == (503, "draining")
        assert "retry-after" in refused.headers
    assert node.get(f"{acme.base}/devices").status == 200


def test_accepted_may_be_200_as_kazoos_servers_say(given_node: Start) -> None:
    node = given_node(settings=ApiSettings(rate_bucket=0, quirks=frozenset({"accepted_is_200"})))
    acme = node.given_account()
    acme.given_two_phones()
    answer = node.get(f"{acme.base}/clicktocall/{acme.given_button()}/connect?contact=1002")
    assert answer.status == 200
    assert answer.data["call_id"] in answer.headers["location"]


def test_full_disk_is_503(given_node: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    node = given_node()
    acme = node.given_account()

    async def full(*arguments: object, **options: object) -> None:
        raise StorageLost("disk full")

    monkeypatch.setattr(node.store.documents, "put_all", full)
    refused = node.put(f"{acme.base}/devices", {"name": "Desk"})
    assert (refused.status, refused.json["message"]) == (503, "datastore_fault")
    assert "retry-after" in refused.headers


def test_a_bug_is_a_plain_500(given_node: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    node = given_node()

    async def broken(*arguments: object, **options: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(node.store.documents, "slice", broken)
    answer = node.get(f"/v2/accounts/{node.master}/devices")
    assert (answer.status, answer.json["message"]) == (500, "unspecified_fault")
    assert b"secret" not in answer.body


# --- the limiters themselves ------------------------------------------------------------------------


def test_buckets_are_bounded() -> None:
    buckets = TokenBuckets(10, 1.0)
    for number in range(BUCKETS_MAX + 10):
        buckets.take(str(number), "", cost=1, now=0.0)
    assert buckets.take("0", "", cost=10, now=0.0) == 0  # forgotten, hence full again
    with pytest.raises(TooManyRequests):
        buckets.take(str(BUCKETS_MAX), "", cost=10, now=0.0)


def test_throttle_slides() -> None:
    throttles = Throttles()
    for now in (0.0, 30.0):
        with throttles.invocation("b", 2, now=now):
            pass
    with pytest.raises(TooManyRequests) as refused, throttles.invocation("b", 2, now=50.0):
        pass
    assert refused.value.retry_after_s == pytest.approx(10.0)
    with throttles.invocation("b", 2, now=60.0):
        pass
    assert throttles.left("b", 2, now=60.0) == 0
    assert throttles.left("b", 2, now=90.0) == 1


def test_login_delay_doubles_and_is_forgiven() -> None:
    limiter = LoginLimiter()
    for _ in range(8):
        limiter.failed("acme", "192.0.2.7", now=0.0)
    with pytest.raises(TooManyRequests) as refused:
        limiter.check("acme", "192.0.2.7", now=1.0)
    assert refused.value.retry_after_s == pytest.approx(7.0)
    limiter.check("acme", "192.0.2.8", now=1.0)
    limiter.check("acme", "192.0.2.7", now=9.0)
    limiter.check("acme", "192.0.2.7", now=901.0)
