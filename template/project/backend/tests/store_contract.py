"""What every store must do: subclass StoreContract and say which store it is to be tried on."""

import asyncio
import random
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone

import pytest
from chatkit.store import NotFoundError, StoreItemType
from chatkit.types import (
    AssistantMessageItem,
    Attachment,
    ImageAttachment,
    LockedStatus,
    Page,
    Thread,
    ThreadMetadata,
)
from pydantic import AnyUrl
from store_samples import (
    ADA,
    BOB,
    NOON,
    a_file,
    a_thread,
    all_items,
    an_item,
    every_kind_of_item,
    filled,
    ids,
)

from core.context import RequestContext
from core.stores.base import BaseStore

PREFIXES: dict[StoreItemType, str] = {
    "message": "msg",
    "tool_call": "tc",
    "task": "tsk",
    "workflow": "wf",
    "attachment": "atc",
    "sdk_hidden_context": "shcx",
}
HARD_TEXTS = {
    "NUL": "before\x00after",
    "emoji": "🧑‍🚀" * 90_000,  # about 1 MB
    "right to left": "‏שלום‎ \u202eabc\u202c",
    "quotes": "'; DROP TABLE threads; -- \" \\ %s ? {x}",
    "line separators": "a\u2028b\u2029c\r\n",
}


@pytest.mark.anyio
class StoreContract:
    """A subclass overrides the fixture `new_store`; every test gets a store of its own."""

    @pytest.fixture
    def new_store(self) -> BaseStore:
        raise NotImplementedError

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    @pytest.fixture
    async def store(self, anyio_backend: str, new_store: BaseStore) -> AsyncIterator[BaseStore]:
        await new_store.open()
        yield new_store
        await new_store.close()

    # -- threads --------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        "thread",
        [
            a_thread(),
            a_thread(title=None),
            a_thread(status=LockedStatus(reason="enough"), allowed_image_domains=["example.com"]),
        ],
        ids=["plain", "no title", "locked"],
    )
    async def test_a_thread_comes_back_as_it_was_saved(
        self, store: BaseStore, thread: ThreadMetadata
    ) -> None:
        await store.save_thread(thread, ADA)
        assert await store.load_thread(thread.id, ADA) == thread
        assert (await store.load_threads(10, None, "asc", ADA)).data == [thread]

    async def test_saving_a_thread_again_replaces_it_where_it_stands(
        self, store: BaseStore
    ) -> None:
        for thread_id in ("thr_1", "thr_2", "thr_3"):
            await store.save_thread(a_thread(thread_id), ADA)
        await store.save_thread(a_thread("thr_2", title="Renamed"), ADA)
        threads = await store.load_threads(10, None, "asc", ADA)
        assert [thread.id for thread in threads.data] == ["thr_1", "thr_2", "thr_3"]
        assert threads.data[1].title == "Renamed"

    async def test_renaming_a_thread_keeps_its_items(self, store: BaseStore) -> None:
        item_ids = await filled(store)
        await store.save_thread(a_thread(title="Renamed"), ADA)
        assert [item.id for item in await all_items(store)] == item_ids

    async def test_a_thread_is_stored_without_the_items_it_is_shown_with(
        self, store: BaseStore
    ) -> None:
        shown = Thread(items=Page(data=[an_item("msg_1")]), **a_thread().model_dump())
        await store.save_thread(shown, ADA)
        loaded = await store.load_thread("thr_1", ADA)
        assert type(loaded) is ThreadMetadata
        assert loaded == a_thread()
        assert await all_items(store) == []

    async def test_threads_come_in_the_order_of_their_making_whatever_their_times_say(
        self, store: BaseStore
    ) -> None:
        for number in (1, 2, 3):
            made = NOON - timedelta(days=number % 2)
            await store.save_thread(a_thread(f"thr_{number}", created_at=made), ADA)
        assert ids(await store.load_threads(10, None, "asc", ADA)) == ["thr_1", "thr_2", "thr_3"]
        for order in ("desc", "nonsense"):
            newest_first = await store.load_threads(10, None, order, ADA)
            assert ids(newest_first) == ["thr_3", "thr_2", "thr_1"]

    async def test_a_deleted_thread_is_gone_with_its_items_and_attachments(
        self, store: BaseStore
    ) -> None:
        [item_id] = await filled(store, 1)
        await filled(store, 1, "thr_2")
        await store.save_attachment(a_file("atc_1", thread_id="thr_1"), ADA)
        await store.save_attachment(a_file("atc_2", thread_id="thr_2"), ADA)
        await store.save_attachment(a_file("atc_3"), ADA)
        await store.save_attachment(a_file("atc_1", thread_id="thr_1"), BOB)
        await store.delete_thread("thr_1", ADA)
        with pytest.raises(NotFoundError):
            await store.load_thread("thr_1", ADA)
        with pytest.raises(NotFoundError):
            await store.load_item("thr_1", item_id, ADA)
        with pytest.raises(NotFoundError):
            await store.load_attachment("atc_1", ADA)
        assert ids(await store.load_threads(10, None, "asc", ADA)) == ["thr_2"]
        assert len(await all_items(store, "thr_2")) == 1
        await store.load_attachment("atc_2", ADA)
        await store.load_attachment("atc_3", ADA)
        await store.load_attachment("atc_1", BOB)

    async def test_a_thread_made_anew_under_a_deleted_one_s_id_is_empty(
        self, store: BaseStore
    ) -> None:
        await filled(store)
        await store.delete_thread("thr_1", ADA)
        await store.save_thread(a_thread(), ADA)
        assert await all_items(store) == []

    async def test_deleting_what_is_not_there_is_quiet(self, store: BaseStore) -> None:
        await filled(store, 1)
        await store.delete_thread("thr_unknown", ADA)
        await store.delete_thread_item("thr_1", "msg_unknown", ADA)
        await store.delete_thread_item("thr_unknown", "msg_1", ADA)
        await store.delete_attachment("atc_unknown", ADA)
        assert len(await all_items(store)) == 1

    # -- items ----------------------------------------------------------------------------------

    async def test_every_kind_of_item_comes_back_as_it_was_added(self, store: BaseStore) -> None:
        items = every_kind_of_item()
        await store.save_thread(a_thread(), ADA)
        for item in items:
            await store.add_thread_item("thr_1", item, ADA)
        assert await all_items(store) == items
        for item in items:
            assert await store.load_item("thr_1", item.id, ADA) == item

    @pytest.mark.parametrize("method", ["add_thread_item", "save_item"])
    async def test_an_item_saved_again_is_replaced_where_it_stands(
        self, store: BaseStore, method: str
    ) -> None:
        item_ids = await filled(store, 3)
        await getattr(store, method)("thr_1", an_item(item_ids[1], "Changed"), ADA)
        items = await all_items(store)
        assert [item.id for item in items] == item_ids
        assert items[1] == an_item(item_ids[1], "Changed")

    async def test_save_item_adds_what_is_not_there(self, store: BaseStore) -> None:
        item_ids = await filled(store, 2)
        await store.save_item("thr_1", an_item("msg_new"), ADA)
        assert [item.id for item in await all_items(store)] == [*item_ids, "msg_new"]

    @pytest.mark.parametrize("method", ["add_thread_item", "save_item"])
    @pytest.mark.parametrize("state", ["unknown", "deleted", "a stranger's"])
    async def test_a_late_item_brings_no_thread_to_life(
        self, store: BaseStore, method: str, state: str
    ) -> None:
        if state == "deleted":
            await filled(store)
            await store.delete_thread("thr_1", ADA)
        elif state == "a stranger's":
            await store.save_thread(a_thread(), BOB)
        with pytest.raises(NotFoundError):
            await getattr(store, method)("thr_1", an_item("msg_late"), ADA)
        assert ids(await store.load_threads(10, None, "asc", ADA)) == []
        assert await all_items(store, context=ADA) == []
        assert await all_items(store, context=BOB) == []
        await store.save_thread(a_thread(), ADA)
        assert await all_items(store) == []

    async def test_a_deleted_item_is_gone_and_the_others_stay(self, store: BaseStore) -> None:
        first, second, third = await filled(store, 3)
        await store.delete_thread_item("thr_1", second, ADA)
        assert [item.id for item in await all_items(store)] == [first, third]
        with pytest.raises(NotFoundError):
            await store.load_item("thr_1", second, ADA)

    async def test_two_threads_may_hold_items_of_the_same_id(self, store: BaseStore) -> None:
        for number, thread_id in enumerate(("thr_1", "thr_2")):
            await store.save_thread(a_thread(thread_id), ADA)
            await store.add_thread_item(thread_id, an_item("msg_1", f"text {number}"), ADA)
        await store.delete_thread_item("thr_1", "msg_1", ADA)
        assert await store.load_item("thr_2", "msg_1", ADA) == an_item("msg_1", "text 1")
        with pytest.raises(NotFoundError):
            await store.load_item("thr_1", "msg_1", ADA)

    async def test_an_unknown_thread_is_empty_and_stays_unknown(self, store: BaseStore) -> None:
        page = await store.load_thread_items("thr_unknown", None, 10, "asc", ADA)
        assert (page.data, page.has_more, page.after) == ([], False, None)
        with pytest.raises(NotFoundError):
            await store.load_thread("thr_unknown", ADA)
        assert ids(await store.load_threads(10, None, "asc", ADA)) == []

    async def test_what_is_unknown_is_not_found(self, store: BaseStore) -> None:
        await filled(store, 1)
        with pytest.raises(NotFoundError):
            await store.load_thread("thr_unknown", ADA)
        with pytest.raises(NotFoundError):
            await store.load_item("thr_1", "msg_unknown", ADA)
        with pytest.raises(NotFoundError):
            await store.load_item("thr_unknown", "thr_1_msg_0", ADA)
        with pytest.raises(NotFoundError):
            await store.load_attachment("atc_unknown", ADA)

    # -- pages ----------------------------------------------------------------------------------

    @pytest.mark.parametrize("order", ["asc", "desc"])
    @pytest.mark.parametrize("limit", [1, 3, 4, 12, 13])
    async def test_pages_lose_and_double_nothing(
        self, store: BaseStore, order: str, limit: int
    ) -> None:
        await filled(store, 3, "thr_other")
        item_ids = await filled(store, 12)
        expected = item_ids if order == "asc" else item_ids[::-1]
        seen: list[str] = []
        after: str | None = None
        while True:
            page = await store.load_thread_items("thr_1", after, limit, order, ADA)
            seen += ids(page)
            assert page.has_more == (len(seen) < 12)
            if not page.has_more:
                assert page.after is None
                break
            assert page.after == page.data[-1].id
            after = page.after
        assert seen == expected

    @pytest.mark.parametrize("order", ["asc", "desc"])
    async def test_pages_of_threads_go_on_behind_their_last(
        self, store: BaseStore, order: str
    ) -> None:
        for number in range(5):
            await store.save_thread(a_thread(f"thr_{number}"), ADA)
            await store.save_thread(a_thread(f"thr_b{number}"), BOB)
        first = await store.load_threads(2, None, order, ADA)
        second = await store.load_threads(2, first.after, order, ADA)
        third = await store.load_threads(2, second.after, order, ADA)
        assert (first.after, second.after, third.after) == (ids(first)[-1], ids(second)[-1], None)
        assert (first.has_more, second.has_more, third.has_more) == (True, True, False)
        expected = [f"thr_{number}" for number in range(5)]
        assert ids(first) + ids(second) + ids(third) == (
            expected if order == "asc" else expected[::-1]
        )

    async def test_items_added_while_paging_back_change_nothing(self, store: BaseStore) -> None:
        item_ids = await filled(store, 4)
        newest = await store.load_thread_items("thr_1", None, 2, "desc", ADA)
        await store.add_thread_item("thr_1", an_item("msg_new"), ADA)
        older = await store.load_thread_items("thr_1", newest.after, 2, "desc", ADA)
        assert ids(newest) + ids(older) == item_ids[::-1]

    async def test_an_unknown_cursor_is_not_found(self, store: BaseStore) -> None:
        await filled(store)
        [elsewhere] = await filled(store, 1, "thr_2")
        await store.save_thread(a_thread("thr_bob"), BOB)
        for cursor in ("msg_unknown", elsewhere):
            with pytest.raises(NotFoundError):
                await store.load_thread_items("thr_1", cursor, 10, "asc", ADA)
        for cursor in ("thr_unknown", "thr_bob"):
            with pytest.raises(NotFoundError):
                await store.load_threads(10, cursor, "asc", ADA)

    @pytest.mark.parametrize(
        ("limit", "given"), [(-5, 1), (0, 1), (1, 1), (50, 50), (1000, 1000), (10**9, 1000)]
    )
    async def test_a_limit_is_held_between_1_and_1000(
        self, store: BaseStore, limit: int, given: int
    ) -> None:
        await store.save_thread(a_thread(), ADA)
        await asyncio.gather(
            *(store.add_thread_item("thr_1", an_item(f"msg_{n}"), ADA) for n in range(1002))
        )
        page = await store.load_thread_items("thr_1", None, limit, "asc", ADA)
        assert len(page.data) == given
        assert page.has_more
        assert len((await store.load_threads(limit, None, "asc", ADA)).data) == 1

    # -- feedback -------------------------------------------------------------------------------

    async def test_feedback_is_kept_and_the_newest_counts(self, store: BaseStore) -> None:
        first, second, third = await filled(store, 3)
        assert await store.load_feedback("thr_1", ADA) == {}
        await store.save_feedback("thr_1", [third, first], "positive", ADA)
        await store.save_feedback("thr_1", [first, first], "negative", ADA)
        assert await store.load_feedback("thr_1", ADA) == {first: "negative", third: "positive"}
        # Saving the item again does not lose it, and the item itself does not show it.
        await store.save_item("thr_1", an_item(first, "Changed"), ADA)
        assert list(await store.load_feedback("thr_1", ADA)) == [first, third]
        assert await store.load_item("thr_1", second, ADA) == an_item(second)

    async def test_feedback_on_what_is_not_there_is_not_found_and_none_is_kept(
        self, store: BaseStore
    ) -> None:
        [mine] = await filled(store, 1)
        [elsewhere] = await filled(store, 1, "thr_2")
        for thread_id, item_id in (("thr_1", "msg_x"), ("thr_1", elsewhere), ("thr_x", mine)):
            with pytest.raises(NotFoundError):
                await store.save_feedback(thread_id, [mine, item_id], "positive", ADA)
        assert await store.load_feedback("thr_1", ADA) == {}
        assert await store.load_feedback("thr_x", ADA) == {}
        await store.save_feedback("thr_1", [], "positive", ADA)

    async def test_feedback_goes_with_its_item_and_its_thread(self, store: BaseStore) -> None:
        first, second = await filled(store, 2)
        await store.save_feedback("thr_1", [first, second], "positive", ADA)
        await store.delete_thread_item("thr_1", first, ADA)
        assert await store.load_feedback("thr_1", ADA) == {second: "positive"}
        await store.delete_thread("thr_1", ADA)
        await filled(store, 2)
        assert await store.load_feedback("thr_1", ADA) == {}

    async def test_feedback_is_its_owner_s_alone(self, store: BaseStore) -> None:
        [item_id] = await filled(store, 1)
        await store.save_feedback("thr_1", [item_id], "positive", ADA)
        assert await store.load_feedback("thr_1", BOB) == {}
        with pytest.raises(NotFoundError):
            await store.save_feedback("thr_1", [item_id], "negative", BOB)
        assert await store.load_feedback("thr_1", ADA) == {item_id: "positive"}

    # -- owners ---------------------------------------------------------------------------------

    async def test_a_stranger_sees_nothing_of_another_s(self, store: BaseStore) -> None:
        [item_id] = await filled(store, 1)
        await store.save_attachment(a_file(), ADA)
        with pytest.raises(NotFoundError):
            await store.load_thread("thr_1", BOB)
        with pytest.raises(NotFoundError):
            await store.load_item("thr_1", item_id, BOB)
        with pytest.raises(NotFoundError):
            await store.load_attachment("atc_1", BOB)
        assert await all_items(store, context=BOB) == []
        assert ids(await store.load_threads(10, None, "asc", BOB)) == []

    async def test_a_stranger_deletes_nothing_of_another_s(self, store: BaseStore) -> None:
        [item_id] = await filled(store, 1)
        await store.save_attachment(a_file(), ADA)
        await store.delete_thread_item("thr_1", item_id, BOB)
        await store.delete_thread("thr_1", BOB)
        await store.delete_attachment("atc_1", BOB)
        await store.load_thread("thr_1", ADA)
        await store.load_item("thr_1", item_id, ADA)
        await store.load_attachment("atc_1", ADA)

    async def test_a_stranger_overwrites_nothing_by_using_its_id(self, store: BaseStore) -> None:
        [item_id] = await filled(store, 1)
        await store.save_attachment(a_file(), ADA)
        await store.save_thread(a_thread(title="Bob's"), BOB)
        await store.save_item("thr_1", an_item(item_id, "Bob's"), BOB)
        await store.save_attachment(a_file(metadata={"of": "bob"}), BOB)
        assert await store.load_thread("thr_1", ADA) == a_thread()
        assert await all_items(store) == [an_item(item_id)]
        assert await store.load_attachment("atc_1", ADA) == a_file()
        assert (await store.load_thread("thr_1", BOB)).title == "Bob's"
        await store.delete_thread("thr_1", BOB)
        assert await all_items(store) == [an_item(item_id)]

    # -- attachments ----------------------------------------------------------------------------

    @pytest.mark.parametrize(
        "attachment",
        [
            a_file(metadata={"source": "tests"}),
            ImageAttachment(
                id="atc_1",
                name="cat.png",
                mime_type="image/png",
                preview_url=AnyUrl("https://example.com/cat.png"),
            ),
        ],
        ids=["file", "image"],
    )
    async def test_an_attachment_comes_back_is_replaced_and_deleted(
        self, store: BaseStore, attachment: Attachment
    ) -> None:
        await store.save_attachment(attachment, ADA)
        assert await store.load_attachment("atc_1", ADA) == attachment
        changed = attachment.model_copy(update={"thread_id": "thr_1", "name": "new name"})
        await store.save_attachment(changed, ADA)
        assert await store.load_attachment("atc_1", ADA) == changed
        await store.delete_attachment("atc_1", ADA)
        with pytest.raises(NotFoundError):
            await store.load_attachment("atc_1", ADA)

    async def test_an_attachment_goes_with_the_thread_it_was_sent_in_last(
        self, store: BaseStore
    ) -> None:
        """It is uploaded before it belongs to a thread, and may be sent in another one later."""
        await filled(store, 0, "thr_1")
        await filled(store, 0, "thr_2")
        for thread_id in (None, "thr_1", "thr_2"):
            await store.save_attachment(a_file(thread_id=thread_id), ADA)
        await store.delete_thread("thr_1", ADA)
        await store.load_attachment("atc_1", ADA)
        await store.delete_thread("thr_2", ADA)
        with pytest.raises(NotFoundError):
            await store.load_attachment("atc_1", ADA)

    # -- what a record may hold -----------------------------------------------------------------

    @pytest.mark.parametrize("text", HARD_TEXTS.values(), ids=HARD_TEXTS.keys())
    async def test_hard_text_comes_back_as_it_was(self, store: BaseStore, text: str) -> None:
        thread = a_thread(title=text, metadata={text: [text]})
        await store.save_thread(thread, ADA)
        await store.add_thread_item("thr_1", an_item("msg_1", text), ADA)
        assert await store.load_thread("thr_1", ADA) == thread
        assert await all_items(store) == [an_item("msg_1", text)]

    async def test_half_a_surrogate_pair_loses_nothing_else(self, store: BaseStore) -> None:
        await store.save_thread(a_thread(title="a\ud800b"), ADA)
        await store.add_thread_item("thr_1", an_item("msg_1", "é\ud83d\ude00 \udc00\x00end"), ADA)
        await store.add_thread_item("thr_1", an_item("msg_2"), ADA)
        assert (await store.load_thread("thr_1", ADA)).title == "a\ufffdb"
        [first, second] = await all_items(store)
        assert first == an_item("msg_1", "é😀 \ufffd\x00end")
        assert second == an_item("msg_2")

    async def test_what_the_caller_changes_later_is_not_stored(self, store: BaseStore) -> None:
        thread, item = a_thread(), an_item("msg_1")
        attachment: Attachment = a_file(metadata={"a": [1]})
        await store.save_thread(thread, ADA)
        await store.add_thread_item("thr_1", item, ADA)
        await store.save_attachment(attachment, ADA)
        for _ in range(2):
            thread.metadata["topic"] = item.content[0].text = "changed"
            assert attachment.metadata is not None
            attachment.metadata["a"] = 2
            thread = await store.load_thread("thr_1", ADA)
            [item] = [i for i in await all_items(store) if isinstance(i, AssistantMessageItem)]
            attachment = await store.load_attachment("atc_1", ADA)
            assert (thread, item) == (a_thread(), an_item("msg_1"))
            assert attachment == a_file(metadata={"a": [1]})

    async def test_times_come_back_as_chatkit_makes_them(self, store: BaseStore) -> None:
        now = datetime.now()
        await store.save_thread(a_thread(created_at=now), ADA)
        item = an_item("msg_1").model_copy(update={"created_at": now})
        await store.add_thread_item("thr_1", item, ADA)
        thread = await store.load_thread("thr_1", ADA)
        [loaded] = await all_items(store)
        assert thread.created_at == loaded.created_at == now
        # ChatKit does this when a workflow goes on; an aware time raises TypeError.
        assert datetime.now() - loaded.created_at < timedelta(minutes=1)

    async def test_a_time_of_another_zone_comes_back_as_the_same_moment(
        self, store: BaseStore
    ) -> None:
        moment = datetime(2026, 7, 1, 23, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
        await store.save_thread(a_thread(created_at=moment), ADA)
        item = an_item("msg_1").model_copy(update={"created_at": moment})
        await store.add_thread_item("thr_1", item, ADA)
        for record in (await store.load_thread("thr_1", ADA), *await all_items(store)):
            assert record.created_at.tzinfo is None
            assert record.created_at.astimezone() == moment
        # What was saved is the caller's, and stays as it was.
        assert item.created_at is moment

    # -- ids ------------------------------------------------------------------------------------

    async def test_ids_have_chatkit_s_prefixes_and_do_not_repeat(self, store: BaseStore) -> None:
        assert re.fullmatch(r"thr_[0-9a-f]{32}", store.generate_thread_id(ADA))
        for kind, prefix in PREFIXES.items():
            made = {store.generate_item_id(kind, a_thread(), ADA) for _ in range(100)}
            assert len(made) == 100
            assert all(re.fullmatch(prefix + "_[0-9a-f]{32}", item_id) for item_id in made)

    # -- many at once ---------------------------------------------------------------------------

    async def test_items_added_at_once_are_all_kept(self, store: BaseStore) -> None:
        threads = [f"thr_{number}" for number in range(5)]
        for thread_id in threads:
            await store.save_thread(a_thread(thread_id), ADA)

        async def add(number: int) -> None:
            await store.add_thread_item("thr_0", an_item(f"msg_{number}"), ADA)
            thread_id = threads[number % 5]
            await store.add_thread_item(thread_id, an_item(f"other_{number}"), ADA)
            await store.load_thread_items(thread_id, None, 3, "desc", ADA)
            await store.save_thread(a_thread(thread_id, title=str(number)), ADA)

        await asyncio.gather(*(add(number) for number in range(50)))
        kept = [[item.id for item in await all_items(store, thread_id)] for thread_id in threads]
        assert [len(item_ids) for item_ids in kept] == [60, 10, 10, 10, 10]
        assert len(set().union(*kept)) == 100

    async def test_a_cancelled_change_leaves_the_store_working(self, store: BaseStore) -> None:
        await store.save_thread(a_thread(), ADA)
        for number in range(20):
            adding = asyncio.create_task(
                store.add_thread_item("thr_1", an_item(f"msg_{number}"), ADA)
            )
            await asyncio.sleep(0)
            adding.cancel()
            await asyncio.gather(adding, return_exceptions=True)
        await store.add_thread_item("thr_1", an_item("msg_last"), ADA)
        assert (await all_items(store))[-1].id == "msg_last"

    # -- all of it together ---------------------------------------------------------------------

    @pytest.mark.parametrize("seed", [1, 2, 3, 4])
    async def test_a_random_conversation_leaves_what_a_plain_list_holds(
        self, store: BaseStore, seed: int
    ) -> None:
        """Each answer is compared with that of lists of ids, which cannot be wrong."""
        dice = random.Random(seed)
        threads: dict[str, list[str]] = {}
        items: dict[tuple[str, str], list[str]] = {}
        for step in range(300):
            user = dice.choice([ADA, BOB])
            thread_id, item_id = f"thr_{dice.randrange(4)}", f"msg_{dice.randrange(12)}"
            own = threads.setdefault(user.user_id, [])
            held = items.setdefault((user.user_id, thread_id), [])
            match dice.randrange(8):
                case 0:
                    await store.save_thread(a_thread(thread_id, title=str(step)), user)
                    own += [thread_id] * (thread_id not in own)
                case 1 | 2 | 3 if thread_id in own:
                    await store.add_thread_item(thread_id, an_item(item_id, str(step)), user)
                    held += [item_id] * (item_id not in held)
                case 1 | 2 | 3:
                    with pytest.raises(NotFoundError):
                        await store.save_item(thread_id, an_item(item_id), user)
                case 4:
                    await store.delete_thread_item(thread_id, item_id, user)
                    held[:] = [held_id for held_id in held if held_id != item_id]
                case 5 if step % 3 == 0:
                    await store.delete_thread(thread_id, user)
                    own[:] = [own_id for own_id in own if own_id != thread_id]
                    held.clear()
                case _:
                    order, limit = dice.choice(["asc", "desc"]), dice.randrange(1, 6)
                    expected = held if order == "asc" else held[::-1]
                    after = dice.choice(expected) if expected and step % 2 else None
                    rest = expected[expected.index(after) + 1 :] if after else expected
                    page = await store.load_thread_items(thread_id, after, limit, order, user)
                    assert ids(page) == rest[:limit]
                    assert page.has_more == (len(rest) > limit)
        for (user_id, thread_id), held in items.items():
            user = RequestContext(user_id=user_id)
            assert [item.id for item in await all_items(store, thread_id, user)] == held
            assert ids(await store.load_threads(10, None, "asc", user)) == threads[user_id]
