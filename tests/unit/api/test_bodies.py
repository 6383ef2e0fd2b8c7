"""What comes in and goes out, as bytes: parts, files, compression, chunks (kazoo-behaviour 1.3, 1.10)."""

import gzip
import json

import pytest

from offhook.api.bodies import PARTS_MAX, read_body
from offhook.api.coding import takes_gzip
from offhook.api.errors import ApiError

from .node import ApiNode, TestAccount, settle

BOUNDARY = "frontier"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"


def parts(*pieces: tuple[str, bytes]) -> bytes:
    body = b"".join(
        f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + content + b"\r\n" for head, content in pieces
    )
    return body + f"--{BOUNDARY}--\r\n".encode()


JSON_PART = ("Content-Type: application/json", b'{"data":{"name":"x"},"verb":"PUT"}')
FILE_PART = (
    'Content-Disposition: form-data; name="file"; filename="hold.wav"\r\nContent-Type: audio/WAV; x=1',
    b"RIFF\r\n\x00\xff--not-the-end",
)


def test_parts_are_envelope_and_file() -> None:
    body = read_body(parts(JSON_PART, FILE_PART), MULTIPART, takes_files=True)
    assert body.envelope == {"data": {"name": "x"}, "verb": "PUT"}
    assert body.upload is not None
    assert (body.upload.content, body.upload.content_type, body.upload.name) == (
        FILE_PART[1], "audio/wav", "hold.wav",
    )  # fmt: skip


def test_named_texts_of_a_form_are_data() -> None:
    fields = [(f'Content-Disposition: form-data; name="{name}"', text)
              for name, text in (("contact", b"+1555"), ("auth_token", b"t"))]  # fmt: skip
    assert read_body(parts(*fields), MULTIPART).envelope == {"data": {"contact": "+1555"}, "auth_token": "t"}


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (parts(FILE_PART), MULTIPART, 415),
        (b"--other\r\n", MULTIPART, 400),
        (parts(JSON_PART)[:-6], MULTIPART, 400),
        (parts(*[JSON_PART] * (PARTS_MAX + 1)), MULTIPART, 400),
        (b"x", "multipart/form-data", 400),
        (b"RIFF", "audio/wav", 415),
        (b"{", "audio/wav", 400),
    ],
)
def test_what_cannot_be_read_is_refused(body: bytes, kind: str, status: int) -> None:
    with pytest.raises(ApiError) as refused:
        read_body(body, kind)
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("content", "kind", "expected"),
    [
        (b"{raw", "audio/mp3", (b"{raw", "audio/mp3")),
        (b"AAEC", "application/base64", (b"\0\1\2", "")),
        (b"data:audio/mp3;base64,AAEC", "application/base64", (b"\0\1\2", "audio/mp3")),
    ],
)
def test_files_come_raw_or_in_base64(content: bytes, kind: str, expected: tuple[bytes, str]) -> None:
    upload = read_body(content, kind, file_name="n", takes_files=True).upload
    assert upload is not None
    assert (upload.content, upload.content_type) == expected


def test_multipart_creates_a_document(node: ApiNode, acme: TestAccount) -> None:
    body = parts(("Content-Type: application/json", b'{"data":{"name":"b","extension":"1"}}'))
    answer = node.put(f"{acme.base}/clicktocall", body=body, headers={"content-type": MULTIPART})
    assert (answer.status, answer.data["name"]) == (201, "b")


@pytest.mark.parametrize(
    ("field", "takes"),
    [("gzip", True), ("br, GZIP;q=0.5", True), ("*", True), ("gzip;q=0", False), ("gzip; q=0.00", False),
     ("", False), ("identity", False)],
)  # fmt: skip
def test_gzip_is_negotiated(field: str, takes: bool) -> None:
    assert takes_gzip(field) is takes


def test_long_answers_are_compressed_for_those_who_take_it(node: ApiNode, acme: TestAccount) -> None:
    for number in range(50):
        acme.given_button(name=f"button {number}")
    path = f"{acme.base}/clicktocall"
    clear, packed = node.get(path), node.get(path, headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in clear.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == clear.headers["vary"] == "accept-encoding"
    assert int(packed.headers["content-length"]) == len(packed.body) < len(clear.body) / 2
    assert json.loads(gzip.decompress(packed.body))["data"] == clear.data
    short = node.get("/v2/token_auth", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in short.headers


@pytest.mark.parametrize("size", ["", "1", "3", "50", "51", "x", "0"])
def test_a_chunked_list_says_the_same(node: ApiNode, acme: TestAccount, size: str) -> None:
    for number in range(7):
        acme.given_button(name=f"b{number}")
    path = f"{acme.base}/clicktocall?page_size=6"
    whole, chunked = node.get(path).json, node.get(f"{path}&is_chunked=true&chunk_size={size}")
    assert chunked.body.startswith(b'{"data":[')
    assert "content-length" not in chunked.headers
    for key in ("data", "page_size", "next_start_key", "status", "auth_token", "version"):
        assert chunked.json[key] == whole[key], key
    assert isinstance(chunked.json["page_size"], int)
    assert node.get(f"{acme.base}/resources?is_chunked=true").data == []


def test_cdrs_come_in_chunks_unless_they_are_not_wanted_so(node: ApiNode, acme: TestAccount) -> None:
    acme.given_two_phones()
    call = node.get(f"{acme.base}/clicktocall/{acme.given_button()}/connect?contact=1002").data["call_id"]
    settle(node)
    node.delete(f"{acme.base}/calls/{call}")
    settle(node)
    path = f"{acme.base}/cdrs"
    assert len(node.get(path).data) == 2
    chunked, whole = node.get(path), node.get(f"{path}?is_chunked=false")
    assert "content-length" not in chunked.headers
    assert "etag" not in chunked.headers
    assert "etag" in whole.headers
    for key in ("data", "page_size", "status"):
        assert chunked.json[key] == whole.json[key]
    packed = node.get(path, headers={"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(packed.body))["data"] == whole.data


def test_what_has_no_content_type_is_told_so(node: ApiNode, acme: TestAccount) -> None:
    path, button = f"{acme.base}/clicktocall", {"name": "a", "extension": "1"}
    assert "x-rfc2616" in node.put(path, button).headers
    typed = node.put(path, button, headers={"content-type": "application/json"})
    assert "x-rfc2616" not in typed.headers
    assert "x-rfc2616" not in node.get(path).headers


def test_a_body_around_nothing_may_come_with_delete(node: ApiNode, acme: TestAccount) -> None:
    path = f"{acme.base}/clicktocall/{acme.given_button()}"
    assert node.post(path, body=b'{"verb":"POST"}').data["data"]["required"]
    assert node.delete(path, body=b'{"verb":"DELETE"}').data["_read_only"] == {"deleted": True}


def test_an_array_is_data_only_where_it_says_so(node: ApiNode, acme: TestAccount) -> None:
    answer = node.put(f"{acme.base}/clicktocall", [{"name": "a", "extension": "1"}])
    assert (answer.status, list(answer.data)) == (400, ["data"])
