import hashlib

import pytest

from offhook.sip import Challenge, DigestServer, Verdict, answer_challenge, choose_challenge, hash_credentials
from offhook.sip.digest import (
    MAX_NONCES,
    NONCE_LIFETIME_S,
    REPLAY_WINDOW,
    Credentials,
    make_nonce,
    nonce_time,
)

REALM = "acme.example.com"
SECRET = b"0123456789abcdef"
NOW = 1000.0


def lookup(username: str, algorithm: str) -> str | None:
    return hash_credentials(algorithm, username, REALM, "pass word") if username == "dev1" else None


def given_server() -> DigestServer:
    return DigestServer(SECRET)


def given_answer(server: DigestServer, **changes: object) -> str:
    """Return what a client sends for the server's challenge; keywords change the call."""
    salt = str(changes.pop("salt", "5a17"))
    values = changes.pop("values", None) or server.challenges(REALM, now_s=NOW, salt=salt)
    call = {
        "username": "dev1", "password": "pass word", "method": "REGISTER", "uri": "sip:acme.example.com",
        "cnonce": "c0ffee", "nc": 1,
    } | changes  # fmt: skip
    answer = answer_challenge(values, call.pop("username"), call.pop("password"), **call)  # type: ignore[arg-type]
    assert answer is not None
    return answer


def verdict_of(
    server: DigestServer, *lines: str, method: str = "REGISTER", now_s: float = NOW + 1
) -> Verdict:
    return server.verify(method, lines, lookup, realm=REALM, now_s=now_s)[0]


# --- vectors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_example_of_rfc_7616(algorithm: str, response: str) -> None:
    challenge = (
        f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, '
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", '
        'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )
    answer = answer_challenge(
        [challenge], "Mufasa", "Circle of Life", method="GET", uri="/dir/index.html",
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )  # fmt: skip
    assert answer is not None
    params = Credentials.parse(answer).params
    assert params["response"] == response
    assert params["opaque"].startswith("FQhe/")
    assert (params["qop"], params["nc"], params["algorithm"]) == ("auth", "00000001", algorithm)


def test_without_qop_as_rfc_2069() -> None:
    answer = answer_challenge(
        'Digest realm="r", nonce="n"'.splitlines(), "u", "p", method="INVITE", uri="sip:x", cnonce="c"
    )
    ha1 = hashlib.md5(b"u:r:p").hexdigest()
    ha2 = hashlib.md5(b"INVITE:sip:x").hexdigest()
    response = hashlib.md5(f"{ha1}:n:{ha2}".encode()).hexdigest()
    assert answer == f'Digest username="u", realm="r", nonce="n", uri="sip:x", response="{response}"'


def test_auth_int_hashes_the_body() -> None:
    values = ['Digest realm="r", nonce="n", qop="auth-int", algorithm=SHA-256']
    answer = answer_challenge(values, "u", "p", method="INVITE", uri="sip:x", cnonce="c", body=b"v=0")
    assert answer is not None

    def sha(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    expected = sha(f"{sha('u:r:p')}:n:00000001:c:auth-int:{sha('INVITE:sip:x:' + sha('v=0'))}")
    assert f'response="{expected}"' in answer


def test_session_algorithm() -> None:
    values = ['Digest realm="r", nonce="n", qop="auth", algorithm=MD5-sess']
    answer = answer_challenge(values, "u", "p", method="INVITE", uri="sip:x", cnonce="c")
    assert answer is not None

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    expected = md5(f"{md5(md5('u:r:p') + ':n:c')}:n:00000001:c:auth:{md5('INVITE:sip:x')}")
    assert f'response="{expected}"' in answer


# --- client -----------------------------------------------------------------------------------------


def test_strongest_known_challenge_is_answered() -> None:
    values = [
        'Digest realm="r", nonce="1", algorithm=MD5, qop="auth"',
        'Digest realm="r", nonce="2", algorithm=TOMORROW-512, qop="auth"',
        'Digest realm="r", nonce="3", algorithm=SHA-256, qop="auth", stale=TRUE',
        'Basic realm="r"',
        'Digest realm="other", nonce="4", algorithm=MD5',
    ]
    chosen = choose_challenge(values)
    assert isinstance(chosen, Challenge)
    assert (chosen.nonce, chosen.is_stale, chosen.qop) == ("3", True, "auth")
    other = choose_challenge(values, realm="other")
    assert other is not None
    assert other.nonce == "4"
    assert choose_challenge(values, realm="nowhere") is None


@pytest.mark.parametrize(
    "value",
    ["", "Digest", "Digest realm", 'Basic realm="r"', 'Digest realm="r"',
     'Digest realm="r", nonce="n", qop="magic"',
     'Digest realm="r", nonce="n", algorithm=CRC32',
     'Digest realm="r", realm="r", nonce="n"'],
)  # fmt: skip
def test_challenge_that_cannot_be_answered(value: str) -> None:
    assert answer_challenge([value], "u", "p", method="A", uri="b", cnonce="c") is None


def test_quotes_in_a_username_are_escaped() -> None:
    answer = given_answer(given_server(), username='a"b\\')
    assert 'username="a\\"b\\\\"' in answer
    assert Credentials.parse(answer).params["username"] == 'a"b\\'


# --- server -----------------------------------------------------------------------------------------


def test_challenge_offers_both_algorithms() -> None:
    first, second = given_server().challenges(REALM, now_s=NOW, salt="5a17", stale=True)
    assert "algorithm=SHA-256" in first
    assert "algorithm=MD5" in second
    assert all('qop="auth"' in value and "stale=true" in value for value in (first, second))


@pytest.mark.parametrize("offered", [0, 1])
def test_right_password_is_accepted_with_either_algorithm(offered: int) -> None:
    server = given_server()
    values = [server.challenges(REALM, now_s=NOW, salt="5a17")[offered]]
    lines = [given_answer(server, values=values)]
    assert server.verify("REGISTER", lines, lookup, realm=REALM, now_s=NOW) == (Verdict.OK, "dev1")


@pytest.mark.parametrize(
    "change", [{"password": "no"}, {"username": "nobody"}, {"method": "INVITE"}, {"password": ""}]
)
def test_wrong_credentials(change: dict[str, str]) -> None:
    server = given_server()
    assert verdict_of(server, given_answer(server, **change)) == Verdict.WRONG


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["Basic eDp5"],
        ["Digest"],
        ["garbage"],
        ['Digest realm="elsewhere", nonce="x"'],
        ['Digest realm="a", "b"'],
    ],
)
def test_missing_credentials(lines: list[str]) -> None:
    assert verdict_of(given_server(), *lines) == Verdict.MISSING


@pytest.mark.parametrize("field", ["username", "uri", "response", "nc", "cnonce"])
def test_incomplete_credentials_are_wrong(field: str) -> None:
    server = given_server()
    assert verdict_of(server, given_answer(server).replace(f" {field}=", " x-other=")) == Verdict.WRONG


@pytest.mark.parametrize(
    ("old", "new"),
    [("qop=auth", "qop=auth-int"), ("SHA-256", "SHA-1"), ("nc=00000001", "nc=1"), ("nc=00000001",
     "nc=-0000001"),
     ('response="', 'response="é'), ('uri="', 'uri="x')],
)  # fmt: skip
def test_tampered_credentials_are_wrong(old: str, new: str) -> None:
    server = given_server()
    assert verdict_of(server, given_answer(server).replace(old, new)) == Verdict.WRONG


def test_right_realm_is_found_among_several_lines() -> None:
    server = given_server()
    assert verdict_of(server, 'Digest realm="elsewhere"', "x", given_answer(server)) == Verdict.OK


def test_old_nonce_is_stale() -> None:
    server = given_server()
    assert verdict_of(server, given_answer(server), now_s=NOW + NONCE_LIFETIME_S + 1) == Verdict.STALE


def test_nonce_from_the_future_or_another_server_is_stale() -> None:
    server = given_server()
    assert verdict_of(server, given_answer(server), now_s=NOW - 60) == Verdict.STALE
    assert verdict_of(server, given_answer(DigestServer(b"another secret"))) == Verdict.STALE
    foreign = ['Digest realm="acme.example.com", nonce="Zoë", qop="auth"']
    assert verdict_of(server, given_answer(server, values=foreign)) == Verdict.STALE


def test_replay_is_stale_and_next_count_is_fresh() -> None:
    server = given_server()
    answer = given_answer(server)
    assert [verdict_of(server, answer), verdict_of(server, answer)] == [Verdict.OK, Verdict.STALE]
    assert verdict_of(server, given_answer(server, nc=2)) == Verdict.OK


def test_reordered_counts_are_taken_once_within_the_window() -> None:
    server = given_server()
    for count, verdict in (
        (5, Verdict.OK), (3, Verdict.OK), (3, Verdict.STALE), (4, Verdict.OK), (5, Verdict.STALE), (0,
        Verdict.STALE),
        (5 + REPLAY_WINDOW, Verdict.OK), (5, Verdict.STALE), (6, Verdict.OK), (2**32 - 1, Verdict.OK), (7,
        Verdict.STALE),
    ):  # fmt: skip
        assert verdict_of(server, given_answer(server, nc=count)) == verdict, count


def test_failed_attempt_uses_up_no_count() -> None:
    server = given_server()
    assert verdict_of(server, given_answer(server, password="no")) == Verdict.WRONG
    assert verdict_of(server, given_answer(server)) == Verdict.OK


def test_client_without_qop_gets_one_use_of_a_nonce() -> None:
    server = given_server()
    values = [server.challenges(REALM, now_s=NOW, salt="5a17")[1].replace(', qop="auth"', "")]
    answer = given_answer(server, values=values)
    assert "nc=" not in answer
    assert [verdict_of(server, answer), verdict_of(server, answer)] == [Verdict.OK, Verdict.STALE]


def test_memory_is_bounded_and_forgotten_nonces_are_not_fresh_again() -> None:
    server = given_server()
    answer = given_answer(server)
    assert verdict_of(server, answer) == Verdict.OK
    for number in range(MAX_NONCES):
        assert server._use(make_nonce(SECRET, NOW + 1, f"{number:x}"), 1)
    assert len(server._used) == MAX_NONCES
    assert verdict_of(server, answer) == Verdict.STALE
    assert verdict_of(server, given_answer(server, nc=2)) == Verdict.STALE


def test_nonce_tells_its_time_only_to_its_maker() -> None:
    nonce = make_nonce(SECRET, 1234.9, "ab")
    assert nonce_time(SECRET, nonce) == 1234
    assert nonce_time(b"other", nonce) is None
    assert nonce_time(SECRET, nonce[:-1]) is None
    assert nonce_time(SECRET, "") is None


def test_a_nonce_is_good_for_its_owner_only() -> None:
    server = given_server()
    values = server.challenges(REALM, now_s=NOW, salt="5a17", owner="192.0.2.7")
    answer = given_answer(server, values=values)
    assert server.is_answer([answer], realm=REALM, owner="192.0.2.7", now_s=NOW)
    assert not server.is_answer([answer], realm=REALM, owner="192.0.2.8", now_s=NOW)
    assert not server.is_answer([answer], realm=REALM, owner="192.0.2.7", now_s=NOW + 301)
    assert not server.is_answer([answer], realm="elsewhere", owner="192.0.2.7", now_s=NOW)
    assert verdict_of(server, answer) == Verdict.STALE


def test_with_a_foreign_nonce_nobody_learns_whether_the_password_is_right() -> None:
    server = given_server()
    answer = given_answer(given_server(), values=server.challenges(REALM, now_s=NOW, salt="5a17", owner="x"))
    assert verdict_of(server, answer) == Verdict.STALE
    assert verdict_of(server, answer.replace('response="', 'response="0')) == Verdict.STALE
