// The list of threads: newest first, by pages.

import { here } from "./conversation.js";
import { button, el, find } from "./dom.js";
import { ask } from "./protocol.js";

const PAGE = 30;
const rows = new Map();
const list = el("ul");
const more = button("Older chats", load, { hidden: true });
let last;
find("list").append(list, more);

const request = (type, params, then) =>
  here.open.trying(async () => then(await ask(type, params)));

export function load() {
  return request("threads.list", { limit: PAGE, order: "desc", after: last }, (page) => {
    for (const thread of page.data) put(thread, "append");
    last = page.after;
    more.hidden = !page.has_more;
  });
}

/** Shows a thread, in its place if it is there already. */
export function put({ id, title }, where = "prepend") {
  if (!rows.has(id)) {
    const open = () => (location.hash = id);
    const row = el("li",
      button("", open, { class: "thread", dir: "auto" }),
      button("✎", () => rename(id), { "aria-label": "Rename", title: "Rename" }),
      button("✕", () => remove(id), { "aria-label": "Delete", title: "Delete" }));
    rows.set(id, row);
    list[where](row);
  }
  rows.get(id).firstChild.textContent = title || "New chat";
}

export function mark(threadId) {
  for (const [id, row] of rows) row.ariaCurrent = id === threadId ? "true" : null;
}

const titleOf = (id) => rows.get(id).firstChild.textContent;

async function rename(id) {
  const title = prompt("A new name for this chat:", titleOf(id))?.trim();
  if (!title) return;
  await request("threads.update", { thread_id: id, title }, (thread) => {
    put(thread);
    here.of(id)?.update(thread);
  });
}

async function remove(id) {
  if (!confirm(`Delete “${titleOf(id)}”?`)) return;
  await request("threads.delete", { thread_id: id }, () => {
    rows.get(id).remove();
    rows.delete(id);
    if (location.hash === `#${id}`) location.hash = "";
  });
}
