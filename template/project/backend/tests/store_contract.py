"""What every store must do: subclass StoreContract and say which store it is to be tried on."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from chatkit.store import NotFoundError
from chatkit.types import (
    FileAttachment,
    LockedStatus,
    Page,
    Thread,
    ThreadMetadata,
)
from store_pages import StorePages
from store_safety import StoreSafety
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
    what_a_newer_release_stores,
)

from core.context import RequestContext
from core.protocol.events import as_json
from core.stores.base import BaseStore


@pytest.mark.anyio
class StoreContract(StoreSafety, StorePages):
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

    async def test_what_is_not_known_comes_back_as_it_was_added(self, store: BaseStore) -> None:
        items = what_a_newer_release_stores()
        assert b'"votes":{"soup":[1,null,2.5]}' in as_json(items[-2])
        await store.save_thread(a_thread(), ADA)
        for _ in range(2):
            for item in items:
                await store.add_thread_item("thr_1", item, ADA)
            loaded = await all_items(store)
            assert [as_json(item) for item in loaded] == [as_json(item) for item in items]
            assert [type(item) for item in loaded] == [type(item) for item in items]
            items = loaded
        after: str | None = None
        for item in items:
            page = await store.load_thread_items("thr_1", after, 1, "asc", ADA)
            assert ids(page) == [item.id]
            after = page.after
        assert after is None
        item_ids = [item.id for item in items]
        await store.save_feedback("thr_1", item_ids, "positive", ADA)
        assert list(await store.load_feedback("thr_1", ADA)) == item_ids

    async def test_what_is_not_known_of_threads_and_attachments_comes_back(
        self, store: BaseStore
    ) -> None:
        newer: dict[str, Any] = {"pinned": {"by": None}}
        thread = ThreadMetadata.model_validate(a_thread().model_dump() | newer)
        await store.save_thread(thread, ADA)
        loaded = await store.load_thread("thr_1", ADA)
        loaded.title = "Renamed"
        await store.save_thread(loaded, ADA)
        again = await store.load_thread("thr_1", ADA)
        assert again.model_dump() == thread.model_dump() | {"title": "Renamed"}
        attachment = FileAttachment.model_validate(a_file().model_dump() | newer)
        await store.save_attachment(attachment, ADA)
        assert await store.load_attachment("atc_1", ADA) == attachment

    async def test_a_request_does_not_list_what_it_has_set_aside(self, store: BaseStore) -> None:
        item_ids = await filled(store, 6)
        retry = RequestContext(user_id="ada")
        retry.set_aside = frozenset(item_ids[1:4])
        listed = [item_ids[0], *item_ids[4:]]
        assert [item.id for item in await all_items(store, context=retry)] == listed
        page = await store.load_thread_items("thr_1", None, 2, "desc", retry)
        assert (ids(page), page.has_more) == (listed[:0:-1], True)
        page = await store.load_thread_items("thr_1", page.after, 2, "desc", retry)
        assert (ids(page), page.has_more) == (listed[:1], False)
        assert [item.id for item in await all_items(store)] == item_ids

    async def test_a_page_is_filled_with_what_is_wanted(self, store: BaseStore) -> None:
        item_ids = await filled(store, 120)
        wanted = [item_ids[0], item_ids[60], item_ids[119]]

        async def page(after: str | None, order: str) -> tuple[list[str], bool]:
            got = await store.items_that(
                lambda item: item.id in wanted, "thr_1", after, 2, order, ADA
            )
            assert got.after == (got.data[-1].id if got.has_more else None)
            return ids(got), got.has_more

        assert await page(None, "asc") == (wanted[:2], True)
        assert await page(wanted[1], "asc") == (wanted[2:], False)
        assert await page(item_ids[118], "desc") == (wanted[1::-1], False)

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
