"""What every store must bear: feedback, strangers, odd text and times, and many at once."""

import asyncio
import random
import re
from datetime import datetime, timedelta, timezone

import pytest
from chatkit.store import NotFoundError, StoreItemType
from chatkit.types import (
    AssistantMessageItem,
    Attachment,
    ImageAttachment,
)
from pydantic import AnyUrl
from store_samples import (
    ADA,
    BOB,
    a_file,
    a_thread,
    all_items,
    an_item,
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


class StoreSafety:
    """A part of StoreContract, which gives each test a store of its own."""

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
