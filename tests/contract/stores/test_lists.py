import pytest

from offhook.app.errors import BadPageKey
from offhook.app.ports import Page, RowFilter, TimeRange

from .given import ACCOUNT, BUTTON, given_cdr, given_history, given_plan

pytestmark = pytest.mark.anyio

EVER = TimeRange(from_gregorian_s=0, to_gregorian_s=99_999_999_999)
NEWEST = Page(size=50)


async def given_calls(store, count: int, *, cdrs=lambda n: [given_cdr(n, timestamp=100 + n // 2)]) -> None:
    """Pairs of calls end in the same second."""
    for number in range(1, count + 1):
        plan = given_plan(f"c2c-{number}")
        await store.journal.accept(plan, 1000.0)
        history = given_history(number, timestamp=100 + number // 2)
        await store.journal.finish(plan.call_id, 1, 1001.0, b"{}", history, cdrs(number))


async def all_pages(fetch, page: Page) -> list[list]:
    pages = []
    while True:
        listing = await fetch(page)
        pages.append(listing.items)
        if not listing.next_key:
            return pages
        page = Page(size=page.size, ascending=page.ascending, start_key=listing.next_key)


@pytest.mark.parametrize("ascending", [False, True])
async def test_history_pages_without_gap_or_repetition(store, ascending):
    await given_calls(store, 10)
    pages = await all_pages(
        lambda page: store.history.list(ACCOUNT, BUTTON, EVER, page), Page(size=3, ascending=ascending)
    )
    assert [len(page) for page in pages] == [3, 3, 3, 1]
    numbers = [int(item["id"], 16) for page in pages for item in page]
    assert numbers == (list(range(1, 11)) if ascending else list(range(10, 0, -1)))


async def test_a_full_last_page_has_no_next_key(store):
    await given_calls(store, 4)
    listing = await store.history.list(ACCOUNT, BUTTON, EVER, Page(size=4))
    assert len(listing.items) == 4
    assert listing.next_key == ""


async def test_new_rows_do_not_disturb_the_pages_of_older_ones(store):
    await given_calls(store, 4)
    first = await store.history.list(ACCOUNT, BUTTON, EVER, Page(size=2))
    plan = given_plan("c2c-new")
    await store.journal.accept(plan, 1000.0)
    await store.journal.finish(plan.call_id, 1, 1.0, b"{}", given_history(99, timestamp=500), [])
    second = await store.history.list(ACCOUNT, BUTTON, EVER, Page(size=2, start_key=first.next_key))
    assert [int(item["id"], 16) for item in first.items + second.items] == [4, 3, 2, 1]


async def test_history_belongs_to_its_button_and_account(store):
    await given_calls(store, 2)
    assert (await store.history.list(ACCOUNT, "d" * 32, EVER, NEWEST)).items == []
    assert (await store.history.list("b" * 32, BUTTON, EVER, NEWEST)).items == []


async def test_a_time_range_includes_both_its_ends(store):
    await given_calls(store, 9)  # in the seconds 100, 101, 101, … 104, 104
    between = TimeRange(from_gregorian_s=102, to_gregorian_s=103)
    listing = await store.history.list(ACCOUNT, BUTTON, between, NEWEST)
    assert [item["timestamp"] for item in listing.items] == [103, 103, 102, 102]


async def test_pages_hold_each_row_once_while_rows_are_added_before_and_behind(store):
    """A row that was there from the first page on is on exactly one page, whatever is written."""
    await given_calls(store, 20)
    there = {f"{number:032x}" for number in range(1, 21)}
    for ascending in (False, True):
        seen, page, added = [], Page(size=3, ascending=ascending), 1_000 * (1 + ascending)
        while True:
            listing = await store.history.list(ACCOUNT, BUTTON, EVER, page)
            seen += [item["id"] for item in listing.items if item["id"] in there]
            if not listing.next_key:
                break
            for timestamp in (100, 104, 110, 500):
                added += 1
                plan = given_plan(f"c2c-{added}")
                await store.journal.accept(plan, 1000.0)
                item = given_history(added, timestamp=timestamp)
                await store.journal.finish(plan.call_id, 1, 1.0, b"{}", item, [])
            page = Page(size=3, ascending=ascending, start_key=listing.next_key)
        assert sorted(seen) == sorted(there)


@pytest.mark.parametrize("ascending", [False, True])
async def test_a_page_ends_at_its_end_key_and_times_are_keys_too(store, ascending):
    await given_calls(store, 9)  # in the seconds 100, 101, 101, … 104, 104

    async def times(**page):
        listing = await store.history.list(ACCOUNT, BUTTON, EVER, Page(size=50, ascending=ascending, **page))
        return [item["timestamp"] for item in listing.items]

    first, last = ("102", "103") if ascending else ("103", "102")
    assert await times(start_key=first, end_key=last) == sorted([102, 102, 103, 103], reverse=not ascending)
    third = await store.history.list(ACCOUNT, BUTTON, EVER, Page(size=3, ascending=ascending))
    assert await times(end_key=third.next_key) == [item["timestamp"] for item in third.items]


async def test_history_is_filtered_too(store):
    await given_calls(store, 4)
    only = RowFilter(keep=lambda item: item["id"].endswith("3"))
    listing = await store.history.list(ACCOUNT, BUTTON, EVER, NEWEST, only=only)
    assert [int(item["id"], 16) for item in listing.items] == [3]


async def test_needles_find_the_documents_that_hold_a_piece_of_each_group(store):
    await given_calls(store, 30)
    everything = RowFilter(keep=lambda cdr: True, needles=((b'"7"', b'"17"', b'"x"'), (b"leg-1",)))
    listing = await store.cdrs.list(ACCOUNT, EVER, NEWEST, only=everything)
    assert [item["call_id"] for item in listing.items] == ["leg-17"]


async def test_a_summary_adds_the_legs_of_its_range(store):
    def legs(number):
        words = {"call_direction": "outbound", "outcome": "busy" if number == 3 else "connected"}
        phone = given_cdr(number * 10, timestamp=100 + number, interaction=f"i{number}", owner="jane")
        carrier = given_cdr(number * 10 + 1, timestamp=100 + number, interaction=f"i{number}")
        carrier["custom_channel_vars"] = {"resource_id": "r1"}
        return [
            phone | words | {"to": "dev1@acme.example.com", "duration_seconds": 9, "billing_seconds": number},
            carrier
            | words
            | {
                "to": "+14158867900@carrier.example.com",
                "did_classifier": "did_us",
                "duration_seconds": 5,
                "billing_seconds": 10 * number,
            },
        ]

    await given_calls(store, 4, cdrs=legs)
    between = TimeRange(from_gregorian_s=102, to_gregorian_s=104)
    summary = await store.cdrs.summary(ACCOUNT, between)
    found = {(total.realm, total.outcome): total for total in summary}
    assert {key: (total.legs, total.duration_s, total.billing_s) for key, total in found.items()} == {
        ("acme.example.com", "connected"): (2, 18, 6),
        ("acme.example.com", "busy"): (1, 9, 3),
        ("carrier.example.com", "connected"): (2, 10, 60),
        ("carrier.example.com", "busy"): (1, 5, 30),
    }
    carrier = found["carrier.example.com", "busy"]
    assert (carrier.by_carrier, carrier.classifier, carrier.direction) == (True, "did_us", "outbound")
    of_jane = await store.cdrs.summary(ACCOUNT, between, owner_id="jane")
    assert sum(total.legs for total in of_jane) == 3
    assert await store.cdrs.summary("b" * 32, between) == []


@pytest.mark.parametrize("key", ["x", "AAAA", "ÿ", "!" * 22, "A" * 200])
async def test_an_invented_page_key_is_refused(store, key):
    with pytest.raises(BadPageKey):
        await store.cdrs.list(ACCOUNT, EVER, Page(size=2, start_key=key))


async def test_a_cdr_is_read_back_whole_by_its_id(store):
    await given_calls(store, 2)
    assert await store.cdrs.get(ACCOUNT, "202403-leg-2") == given_cdr(2, timestamp=101)
    assert await store.cdrs.get("b" * 32, "202403-leg-2") is None
    assert await store.cdrs.get(ACCOUNT, "202403-leg-9") is None


async def test_cdrs_are_filtered_by_owner(store):
    await given_calls(store, 6, cdrs=lambda n: [given_cdr(n, owner="jane" if n % 2 else "")])
    listing = await store.cdrs.list(ACCOUNT, EVER, NEWEST, owner_id="jane")
    assert [item["call_id"] for item in listing.items] == ["leg-5", "leg-3", "leg-1"]


async def test_a_predicate_sees_the_whole_document_and_pages_stay_full(store):
    await given_calls(store, 10)

    def is_odd(cdr) -> bool:
        return int(cdr["custom_application_vars"]["number"]) % 2 == 1

    pages = await all_pages(
        lambda page: store.cdrs.list(ACCOUNT, EVER, page, only=RowFilter(keep=is_odd)), Page(size=2)
    )
    assert [[item["call_id"] for item in page] for page in pages] == [
        ["leg-9", "leg-7"],
        ["leg-5", "leg-3"],
        ["leg-1"],
    ]


async def test_an_interaction_gives_one_leg_to_the_list_and_all_to_legs(store):
    def two_legs(number):
        return [given_cdr(number * 10 + leg, interaction=f"i{number}") for leg in (0, 1)]

    await given_calls(store, 3, cdrs=two_legs)
    listing = await store.cdrs.list(ACCOUNT, EVER, NEWEST, one_per_interaction=True)
    assert [item["call_id"] for item in listing.items] == ["leg-30", "leg-20", "leg-10"]
    legs = await store.cdrs.legs(ACCOUNT, "i2")
    assert [leg["call_id"] for leg in legs] == ["leg-20", "leg-21"]
    assert await store.cdrs.legs("b" * 32, "i2") == []
