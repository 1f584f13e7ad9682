// One thread in the page: its items, the turn under way, and what the events of a turn do.

import { button, el } from "./dom.js";
import { ItemView } from "./items.js";
import { Markdown } from "./markdown.js";
import { ask } from "./protocol.js";
import { runAction, runClientTool, runEffect } from "./shared.js";

const PAGE = 40;
const RETRY = "threads.retry_after_item";

// Threads that are being answered go on while another is looked at.
const running = new Map();

/** `open`: the conversation that is looked at; `of(threadId)`: that of a thread, if alive. */
export const here = {
  of: (threadId) => (here.open.thread?.id === threadId ? here.open : running.get(threadId)),
};

export class Conversation {
  thread = null;
  views = new Map();
  earlier = button("Earlier messages", () => this.load(this.thread.id), { hidden: true });
  items = el("div.items");
  progress = el("p.progress");
  notes = el("div", { role: "status" });
  element = el("div", { role: "log", "aria-label": "Conversation" },
    this.earlier, this.items, this.progress, this.notes);

  /** `changed(conversation)` is called when its thread or turn has. */
  constructor(changed) {
    this.changed = changed;
  }

  /** The thread and its newest items, or those before. */
  load(threadId) {
    return this.trying(async () => {
      const thread = this.thread ?? await ask("threads.get_by_id", { thread_id: threadId });
      const params = { thread_id: threadId, limit: PAGE, order: "desc", after: this.oldest };
      const { data, has_more, after } = await ask("items.list", params);
      for (const item of data) this.put(item, "prepend");
      this.oldest = after;
      this.earlier.hidden = !has_more;
      this.update(thread);
    });
  }

  async act(itemId, { type, payload, handler, streaming }) {
    if (handler === "client") {
      const { item } = this.views.get(itemId);
      const send = (...given) => this.sendAction(...given);
      return this.trying(() => runAction({ type, payload }, item, send));
    }
    if (streaming !== false) return this.sendAction({ type, payload }, itemId);
    const params = { item_id: itemId, action: { type, payload } };
    await this.trying(async () => {
      const { updated_item } = await this.ask("threads.sync_custom_action", params);
      if (updated_item) this.put(updated_item);
    });
  }

  /** The turn of an action: of a widget, or of the page itself. */
  sendAction(action, itemId = null) {
    return this.run("threads.custom_action", { item_id: itemId, action });
  }

  async runClientTool(item) {
    const result = await runClientTool(item.name, item.arguments);
    const done = () => this.put({ ...item, status: "completed", output: result });
    await this.run("threads.add_client_tool_output", { result }, done);
  }

  ask(type, params, options) {
    return ask(type, { thread_id: this.thread?.id, ...params }, options);
  }

  /** One turn; `accepted` is called as soon as the server has the request. */
  async run(type, params, accepted = () => {}) {
    if (this.turn) return this.note("One thing at a time: wait for the answer, or stop it.");
    this.turn = new AbortController();
    this.notes.replaceChildren();
    this.waits = null;
    this.element.ariaBusy = "true";
    this.update();
    let begun = false;
    const onEvent = (event) => {
      if (!begun) accepted();
      begun = true;
      this.on(event);
    };
    try {
      await this.ask(type, params, { signal: this.turn.signal, onEvent });
    } catch (error) {
      this.waits = null;
      if (error.name === "AbortError") this.note("Stopped.");
      // Before that, a message is still where it was written.
      else this.fail(error.message, error.lost && (begun || type === RETRY));
    } finally {
      this.turn = null;
      this.progress.textContent = "";
      this.element.ariaBusy = "false";
      this.update();
    }
    if (this.waits) await this.runClientTool(this.waits);
  }

  on({ type, thread, item, ...event }) {
    if (thread) this.update(thread);
    if (item) {
      this.progress.textContent = "";
      this.put(item);
      if (item.type === "client_tool_call") this.waits = item.status === "pending" ? item : null;
    }
    if (type === "thread.item.updated") this.views.get(event.item_id)?.update(event.update);
    if (type === "thread.item.removed") this.remove(event.item_id);
    if (type === "progress_update") this.progress.textContent = event.text;
    if (type === "client_effect") runEffect(event);
    if (type === "notice") {
      this.note([event.title, event.message].filter(Boolean).join(": "), event.level);
    }
    if (type === "error") {
      this.fail(event.message || "The answer failed.", event.allow_retry);
    }
  }

  update(thread = this.thread) {
    this.thread = thread;
    if (this.turn) running.set(thread?.id, this);
    else running.delete(thread?.id);
    this.changed(this);
  }

  put(item, where = "append") {
    const known = this.views.get(item.id);
    if (known?.item.type === item.type) return known.set(item);
    const view = new ItemView(item, this);
    if (known) known.element.replaceWith(view.element);
    else this.items[where](view.element);
    this.views.set(item.id, view);
  }

  remove(itemId) {
    this.views.get(itemId)?.element.remove();
    this.views.delete(itemId);
  }

  note(text, level = "info") {
    this.notes.append(el(`div.note.${level}`, new Markdown().set(text)));
  }

  fail(sentence, retry = false) {
    const asked = [...this.items.querySelectorAll(".user_message")].at(-1);
    // What stands below it is taken away by the server's events, once a new answer has begun.
    const again = () => this.run(RETRY, { item_id: asked.id });
    this.notes.append(el("div.note.danger", { role: "alert" },
      sentence, retry && asked ? button("Retry", again) : ""));
  }

  /** Shows the sentence of what goes wrong. */
  async trying(what) {
    try {
      await what();
    } catch (error) {
      this.fail(error.message);
    }
  }
}
