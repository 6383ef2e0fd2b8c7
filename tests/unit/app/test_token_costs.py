"""Costs of requests: the most specific entry counts, and nonsense is named."""

import pytest

from offhook.app.token_costs import TokenCosts

A, B = "a" * 32, "b" * 32
QUICKCALL = ("devices", "quickcall")


def cost(text: str, words: tuple[str, ...], method: str = "GET", account: str = A) -> int:
    return TokenCosts.parse(text).cost(words, method, account, default=1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 1),
        ("*=3", 3),
        ("*=3, devices=4", 4),
        ("*=3, devices=4, quickcall=5", 5),
        ("quickcall=5, devices/quickcall=6", 6),
        ("devices/quickcall=6, quickcall/GET=7", 7),
        ("quickcall/GET=7, quickcall/POST=70", 7),
        (f"quickcall/GET=7, {A}=8", 8),
        (f"{A}=8, {A}/devices=9", 9),
        (f"{A}/devices=9, {A}/quickcall=10", 10),
        (f"{A}/quickcall=10, {A}/quickcall/GET=0", 0),
        (f"{B}/quickcall=10, {B}=11", 1),
        ("users=9, devices/PUT=9", 1),
    ],
)
def test_the_most_specific_entry_counts(text: str, expected: int) -> None:
    assert cost(text, QUICKCALL) == expected


def test_an_answer_is_the_same_the_second_time() -> None:
    costs = TokenCosts.parse(f"devices=2, {B}/devices=3")
    for _ in range(2):
        assert costs.cost(("devices",), "GET", A, default=1) == 2
        assert costs.cost(("devices",), "GET", B, default=1) == 3
        assert costs.cost(("users",), "GET", B, default=10) == 10


@pytest.mark.parametrize(
    "text",
    ["devices", "devices=x", "devices=-1", "devices=1000001", "=1", "a/b/c=1", "devices/put-it=1", "*/GET=1",
     "Devices=1", ",".join(f"a{'b' * number}=1" for number in range(1_001))],
)  # fmt: skip
def test_nonsense_is_named(text: str) -> None:
    with pytest.raises(ValueError):
        TokenCosts.parse(text)
