"""Bindings and routing keys in KAZOO's forms (kazoo-behaviour 11)."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.app.live_events import BindingRefused, LiveEvent, encode_key, parse_binding

A = "a" * 32


def event(*key: tuple[str, ...]) -> LiveEvent:
    return LiveEvent(A, "x", "x", key, msgspec.Raw(b"{}"))


CREATE = event(("call",), ("CHANNEL_CREATE",), ("a84b@10.0.0.5", "a84b%4010%2E0%2E0%2E5", "c2c-1"))
EDITED = event(("object",), ("doc_edited",), ("user",), ("u1",))


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("call.CHANNEL_CREATE.*", f"call.{A}.CHANNEL_CREATE.*"),
        ("call.*.*", f"call.{A}.*.*"),
        ("call.*.a84b@10.0.0.5", f"call.{A}.*.a84b@10.0.0.5"),
        ("call.CHANNEL_CREATE.a84b%4010%2E0%2E0%2E5", f"call.{A}.CHANNEL_CREATE.a84b%4010%2E0%2E0%2E5"),
        ("call.*.c2c-1", f"call.{A}.*.c2c-1"),
    ],
)
def test_call_bindings_that_mean_an_event(text: str, key: str) -> None:
    binding = parse_binding(A, text)
    assert binding.matches(CREATE)
    assert not binding.matches(EDITED)
    assert binding.subscription_key == key


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("object.doc_edited.user", f"doc_edited.{A}.user.*"),
        ("object.user.doc_edited", f"doc_edited.{A}.user.*"),
        ("object.*.*", f"*.{A}.*.*"),
        ("object.doc_edited.*", f"doc_edited.{A}.*.*"),
        ("object.*.user.u1", f"*.{A}.user.u1"),
        ("doc.*.user", f"*.{A}.user.*"),
        ("doc_edited.*.user.*", f"doc_edited.{A}.user.*"),
        ("doc_edited.account%2Faa.user.u1", f"doc_edited.{A}.user.u1"),
    ],
)
def test_object_bindings_that_mean_an_event(text: str, key: str) -> None:
    binding = parse_binding(A, text)
    assert binding.matches(EDITED)
    assert not binding.matches(CREATE)
    assert binding.subscription_key == key


@pytest.mark.parametrize(
    "text",
    ["call.CHANNEL_DESTROY.*", "call.*.a84b", "object.doc_created.user", "object.*.device", "doc.*.user.u2"],
)
def test_bindings_that_mean_others(text: str) -> None:
    binding = parse_binding(A, text)
    assert not binding.matches(CREATE)
    assert not binding.matches(EDITED)


def test_routing_keys_are_encoded_as_kazoo_does() -> None:
    assert encode_key("a84b4c76e66710@10.0.0.5") == "a84b4c76e66710%4010%2E0%2E0%2E5"
    assert encode_key("a b-c_d") == "a+b-c_d"


@given(
    st.text(max_size=40)
    | st.lists(st.sampled_from(["call", "object", "doc", "*", "", "doc_edited"])).map(".".join)
)
def test_any_text_is_a_binding_or_refused(text: str) -> None:
    try:
        binding = parse_binding(A, text)
    except BindingRefused:
        return
    assert binding.text == text
    assert A in binding.subscription_key
