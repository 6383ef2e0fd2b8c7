"""Logins, tokens, the envelope, errors that any endpoint gives (kazoo-behaviour 1 to 3)."""

import base64
import hashlib
import secrets

from .kit import ID, OK, Kit, has, is_error, is_success


def logins(kit: Kit) -> None:
    """API key and user, right and wrong; who am I; a deleted token."""
    key = kit.ask("PUT", "/v2/api_auth", {"api_key": kit.api_key}, token="")
    kit.expect(
        "api_auth: log in with an API key",
        key,
        201,
        wants="auth_token at the top, account_id in data",
        holds=lambda a: a.envelope["auth_token"].count(".") == 2 and bool(ID.match(a.data["account_id"])),
    )
    wrong = kit.ask("PUT", "/v2/api_auth", {"api_key": "0" * 64}, token="")
    kit.fails("api_auth: unknown key", wrong, {401, 404})
    short = kit.ask("PUT", "/v2/api_auth", {"api_key": "0"}, token="")
    kit.invalid("api_auth: short key", short, api_key="minLength")
    _user(kit)
    mine = kit.ask("GET", "/v2/token_auth")
    kit.expect(
        "token_auth: whose token", mine, 200, holds=lambda a: "account_id" in a.data, wants="account_id"
    )
    again = kit.ask("PUT", "/v2/api_auth", {"api_key": kit.api_key}, token="").envelope.get("auth_token", "")
    kit.expect("token_auth: delete", kit.ask("DELETE", "/v2/token_auth", token=again), 200)
    kit.fails("token_auth: a deleted token is dead", kit.ask("GET", kit.base, token=again), 401)


def _user(kit: Kit) -> None:
    name, password = f"conform{secrets.token_hex(4)}", secrets.token_hex(12)
    user = {"first_name": "Con", "last_name": "Form", "username": name, "password": password}
    created = kit.ask("PUT", f"{kit.base}/users", user | {"priv_level": "admin"})
    kit.expect(
        "users: a password is never given back",
        created,
        201,
        wants="no password",
        holds=lambda a: "password" not in a.data,
    )
    for method, digest in (("md5", hashlib.md5), ("sha", hashlib.sha1)):
        credentials = digest(f"{name}:{password}".encode(), usedforsecurity=False).hexdigest()
        login = {"credentials": credentials, "account_realm": kit.realm, "method": method}
        answer = kit.ask("PUT", "/v2/user_auth", login, token="")
        kit.expect(
            f"user_auth: log in with {method}",
            answer,
            201,
            wants="token and owner_id",
            holds=lambda a: bool(a.envelope["auth_token"]) and a.data["owner_id"] == created.data["id"],
        )
    kit.fails(
        "user_auth: wrong password",
        kit.ask("PUT", "/v2/user_auth", {"credentials": "0" * 32, "account_realm": kit.realm}, token=""),
        401,
        word="invalid",
    )
    kit.invalid(
        "user_auth: no credentials", kit.ask("PUT", "/v2/user_auth", {}, token=""), credentials="required"
    )
    credentials = hashlib.md5(f"{name}:{password}".encode(), usedforsecurity=False).hexdigest()
    basic = base64.b64encode(f"{kit.account_id}:{credentials}".encode()).decode()
    kit.expect(
        "Authorization: Basic",
        kit.ask("GET", kit.base, token="", headers={"authorization": f"Basic {basic}"}),
        200,
    )


def tokens(kit: Kit) -> None:
    """Every place a token may stand in; and what happens without."""
    token = kit.client.token
    bearer = kit.ask("GET", kit.base, token="", headers={"authorization": f"Bearer {token}"})
    kit.expect("Authorization: Bearer", bearer, 200)
    kit.expect(
        "auth_token in the query", kit.ask("GET", kit.base, token="", query={"auth_token": token}), 200
    )
    kit.fails("no token", kit.ask("GET", kit.base, token=""), 401, word="invalid_credentials")
    kit.fails("a forged token", kit.ask("GET", kit.base, token=token[:-4] + "AAAA"), 401)
    other = kit.ask("GET", kit.base, headers={"x-auth-account-id": "0" * 32})
    kit.fails("X-Auth-Account-ID of another account", other, 401)


def envelope(kit: Kit) -> None:
    """What stands around every answer, and which forms of requests are understood."""
    answer = kit.ask("GET", kit.base, headers={"x-request-id": "conform-1"})
    kit.expect("envelope of a success", answer, 200, wants="status, data, request_id", holds=is_success)
    kit.expect(
        "X-Request-ID is echoed",
        answer,
        200,
        wants="in header and envelope",
        holds=lambda a: a.headers["x-request-id"] == a.envelope["request_id"] == "conform-1",
    )
    kit.expect(
        "content type",
        answer,
        200,
        wants="exactly application/json",
        holds=lambda a: a.headers["content-type"] == "application/json",
    )
    etag = answer.headers.get("etag", "")
    kit.expect("ETag and If-None-Match", kit.ask("GET", kit.base, headers={"if-none-match": etag}), 304)
    kit.expect(
        "pretty_print",
        kit.ask("GET", kit.base, query={"pretty_print": "true"}),
        200,
        wants="more lines than one",
        holds=lambda a: a.body.count(b"\n") > 3,
    )
    kit.expect("a trailing slash", kit.ask("GET", f"{kit.base}/"), 200)
    kit.expect("/v2/account stands for mine", kit.ask("GET", "/v2/account"), 200)
    plain = kit.ask(
        "PUT",
        f"{kit.base}/clicktocall",
        body=b'{"data":{"name":"a=b&c","extension":"1"}}',
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    kit.expect("JSON sent as a form (curl -d)", plain, 201, holds=lambda a: a.data["name"] == "a=b&c")
    body = b'{"verb":"PUT","data":{"name":"Tunnel","extension":"1001"}}'
    kit.expect(
        "verb in the envelope replaces POST",
        kit.ask("POST", f"{kit.base}/clicktocall", body=body),
        {200, 201},
    )


def errors(kit: Kit) -> None:
    """Errors that any endpoint gives."""
    put = f"{kit.base}/clicktocall"
    kit.invalid("body that is no JSON", kit.ask("PUT", put, body=b'{"data":'), json="invalid")
    kit.invalid("body without data", kit.ask("PUT", put, body=b'{"x":1}'), data="required")
    kit.fails("an id nobody has", kit.ask("GET", f"{put}/{'f' * 32}"), 404, word="bad_identifier")
    kit.fails("an account nobody has", kit.ask("GET", f"/v2/accounts/{'f' * 32}"), {403, 404})
    kit.fails("an account id of another form", kit.ask("GET", "/v2/accounts/abc"), 404, word="abc")
    kit.fails("an unknown path", kit.ask("GET", "/v2/conformance_kit"), 404)
    method = kit.ask("PUT", f"{put}/{'f' * 32}")
    kit.fails("a method the path has not", method, 405, word="invalid_method")
    kit.expect(
        "errors carry CORS headers",
        method,
        405,
        wants="access-control-allow-origin",
        holds=lambda a: a.headers["access-control-allow-origin"] == "*" and is_error(a),
    )
    options = kit.ask("OPTIONS", put, token="", headers={"origin": "https://example.com"})
    kit.expect(
        "OPTIONS (CORS preflight)",
        options,
        OK,
        wants="the methods",
        holds=lambda a: "PUT" in a.headers["access-control-allow-methods"],
    )
    wide = kit.ask("PUT", put, {"extension": 5, "dial_first": "both", "timeout": "soon"})
    kit.invalid("every wrong field is named", wide, name="required", dial_first="enum", timeout="type")
    foreign = kit.ask("GET", f"/v2/accounts/{kit.client.account_id}", token=_child_token(kit))
    kit.fails("a child may not look at its parent", foreign, 403, word="forbidden")


def _child_token(kit: Kit) -> str:
    key = kit.ask("GET", f"{kit.base}/api_key").data
    api_key = key.get("api_key", "") if has(key, {}) else ""
    return str(kit.ask("PUT", "/v2/api_auth", {"api_key": api_key}, token="").envelope.get("auth_token", ""))
