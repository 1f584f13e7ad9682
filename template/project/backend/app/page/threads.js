// The list of threads: newest first, by pages, each to open, rename or delete.

import { button, el } from "./dom.js";

const PAGE = 30;

/** The list in the page's side. */
export class ThreadList {
  /** `page`: open(threadId), deleted(threadId), renamed(thread), trying(what). */
  constructor(client, page) {
    Object.assign(this, { client, page, rows: new Map() });
    this.list = el("ul");
    this.more = button("Older chats", () => this.load(this.after), { hidden: true });
    this.element = el("div", { class: "threads" }, this.list, this.more);
  }

  /** Read a page of the list: the newest, or those behind `after`. */
  async load(after) {
    await this.ask("threads.list", { limit: PAGE, order: "desc", after }, (page) => {
      for (const thread of page.data) this.put(thread, "append");
      this.after = page.after;
      this.more.hidden = !page.has_more;
    });
  }

  /** Show a thread, in its place if it is there already. */
  put({ id, title }, where = "prepend") {
    if (!this.rows.has(id)) {
      const row = el("li", {},
        button("", () => this.page.open(id), { class: "thread", dir: "auto" }),
        button("✎", () => this.rename(id), { "aria-label": "Rename", title: "Rename" }),
        button("✕", () => this.delete(id), { "aria-label": "Delete", title: "Delete" }));
      this.rows.set(id, row);
      this.list[where](row);
    }
    this.rows.get(id).firstChild.textContent = title || "New chat";
  }

  mark(threadId) {
    for (const [id, row] of this.rows) row.ariaCurrent = id === threadId ? "true" : null;
  }

  async rename(id) {
    const title = prompt("A new name for this chat:", this.titleOf(id))?.trim();
    if (!title) return;
    await this.ask("threads.update", { thread_id: id, title }, (thread) => {
      this.put(thread);
      this.page.renamed(thread);
    });
  }

  async delete(id) {
    if (!confirm(`Delete “${this.titleOf(id)}”?`)) return;
    await this.ask("threads.delete", { thread_id: id }, () => {
      this.rows.get(id).remove();
      this.rows.delete(id);
      this.page.deleted(id);
    });
  }

  titleOf(id) {
    return this.rows.get(id).firstChild.textContent;
  }

  async ask(type, params, then) {
    await this.page.trying(async () => then(await this.client.ask(type, params)));
  }
}
