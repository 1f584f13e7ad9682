// One thread in the page: its items, the turn under way, and what the events of a turn do.

import { button, el } from "./dom.js";
import { actions, clientTools, effects } from "./handlers.js";
import { ItemView } from "./items.js";
import { Markdown } from "./markdown.js";

const PAGE = 40;

/** A thread, or a chat that will become one with its first message. */
export class Conversation {
  /** `page`: changed(conversation), when the thread or the turn has; offers: feedback. */
  constructor(client, page) {
    Object.assign(this, { client, page, thread: null, turn: null, views: new Map() });
    this.earlier = button("Earlier messages", () => this.loadEarlier(), { hidden: true });
    this.items = el("div", { class: "items" });
    this.progress = el("p", { class: "progress" });
    this.notes = el("div", { role: "status" });
    this.element = el("div", { role: "log", "aria-label": "Conversation" },
      this.earlier, this.items, this.progress, this.notes);
  }

  async load(threadId) {
    const [thread, newest] = await Promise.all([
      this.client.ask("threads.get_by_id", { thread_id: threadId }),
      this.client.ask("items.list", { thread_id: threadId, limit: PAGE, order: "desc" }),
    ]);
    this.thread = thread;
    this.showEarlier(newest);
    this.page.changed(this);
  }

  async loadEarlier() {
    const params = { thread_id: this.thread.id, limit: PAGE, order: "desc", after: this.oldest };
    await this.trying(async () => this.showEarlier(await this.client.ask("items.list", params)));
  }

  showEarlier({ data, has_more, after }) {
    for (const item of data) this.put(item, "prepend").finish();
    this.oldest = after;
    this.earlier.hidden = !has_more;
  }

  /** Send a UserMessageInput; `accepted` is called as soon as the server has it. */
  send(input, accepted) {
    const type = this.thread ? "threads.add_user_message" : "threads.create";
    return this.run(type, { input }, accepted);
  }

  stop() {
    this.turn?.abort();
  }

  async retry() {
    const asked = [...this.views.values()].findLast(({ item }) => item.type === "user_message");
    await this.run("threads.retry_after_item", { item_id: asked.item.id }, () => {
      while (asked.element.nextSibling) this.remove(asked.element.nextSibling.id);
    });
  }

  async act(item, action) {
    const { type, payload, handler, streaming } = action;
    if (handler === "client") {
      if (!actions[type]) return this.fail(`page/handlers.js has no action ${type}.`);
      return actions[type](payload, item);
    }
    const params = { item_id: item.id, action: { type, payload } };
    if (streaming !== false) return this.run("threads.custom_action", params);
    params.thread_id = this.thread.id;
    await this.trying(async () => {
      const { updated_item } = await this.client.ask("threads.sync_custom_action", params);
      if (updated_item) this.put(updated_item);
    });
  }

  feedback(item, kind) {
    const params = { thread_id: this.thread.id, item_ids: [item.id], kind };
    return this.trying(() => this.client.ask("items.feedback", params));
  }

  answer(item, input) {
    return this.run("threads.add_structured_input", { item_id: item.id, input });
  }

  async runClientTool({ name, arguments: args }) {
    let result;
    try {
      if (!clientTools[name]) throw new Error(`page/handlers.js has no client tool ${name}.`);
      result = (await clientTools[name](args)) ?? null;
    } catch (error) {
      result = { error: error.message };
    }
    await this.run("threads.add_client_tool_output", { result });
  }

  /** One turn: send the request, do what the events say, until the stream ends. */
  async run(type, params, accepted = () => {}) {
    if (this.turn) return;
    this.turn = new AbortController();
    if (this.thread) params = { thread_id: this.thread.id, ...params };
    this.notes.replaceChildren();
    this.waits = null;
    this.element.ariaBusy = "true";
    this.page.changed(this);
    try {
      await this.client.stream(type, params, {
        signal: this.turn.signal,
        onEvent: (event) => {
          accepted();
          accepted = () => {};
          this.on(event);
        },
      });
    } catch (error) {
      this.waits = null;
      if (error.name === "AbortError") this.note("Stopped.");
      else this.fail(error.message, error.status === 0 && this.thread !== null);
    } finally {
      this.turn = null;
      this.progress.textContent = "";
      this.element.ariaBusy = "false";
      for (const view of this.views.values()) view.finish();
      this.page.changed(this);
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
    if (type === "client_effect") effects[event.name]?.(event.data);
    if (type === "notice") {
      this.note([event.title, event.message].filter(Boolean).join(": "), event.level);
    }
    if (type === "error") {
      this.fail(event.message || "The answer failed on the server.", event.allow_retry);
    }
  }

  update(thread) {
    this.thread = thread;
    this.page.changed(this);
  }

  put(item, where = "append") {
    const known = this.views.get(item.id);
    const view = known ?? new ItemView(this);
    if (!known) this.items[where](view.element);
    this.views.set(item.id, view);
    view.set(item);
    return view;
  }

  remove(itemId) {
    this.views.get(itemId)?.element.remove();
    this.views.delete(itemId);
  }

  note(text, level = "info") {
    const note = el("div", { class: `note ${level}` });
    new Markdown(note).set(text);
    this.notes.append(note);
  }

  fail(sentence, retry = false) {
    const again = retry ? button("Retry", () => this.retry()) : "";
    const note = { class: "note danger", role: "alert" };
    this.notes.append(el("div", note, el("p", {}, sentence), again));
  }

  // Whether this went well; if not, its sentence is shown.
  async trying(what) {
    try {
      await what();
      return true;
    } catch (error) {
      this.fail(error.message);
      return false;
    }
  }
}
