"""What a store's pages must hold: a part of StoreContract."""

import asyncio

import pytest
from chatkit.store import NotFoundError
from store_samples import (
    ADA,
    BOB,
    a_thread,
    an_item,
    filled,
    ids,
)

from core.stores.base import BaseStore


@pytest.mark.anyio
class StorePages:
    """Nothing is lost between two pages, nothing comes twice, and none is too long."""

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
