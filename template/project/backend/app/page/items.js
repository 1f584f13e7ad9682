// The items of a thread, drawn: messages, thoughts and workflows, widgets, tool calls, questions.

import { beforeNextFrame, button, el, image, link } from "./dom.js";
import { Markdown } from "./markdown.js";
import { apply } from "./protocol.js";
import { Widget } from "./widgets.js";

/** One item of the thread, as it stands in the page. */
export class ItemView {
  constructor(conversation) {
    this.conversation = conversation;
    this.element = el("article");
    this.draw = () => this.kind.draw(this.item);
  }

  set(item) {
    if (this.item?.type !== item.type) {
      this.element.id = item.id;
      this.element.className = `item ${item.type}`;
      this.element.replaceChildren();
      this.kind = new (KINDS[item.type] ?? Simple)(this.element, this.conversation);
    }
    this.item = item;
    this.draw();
  }

  /** Do what an update says; drawn before the next frame, with all others. */
  update(update) {
    apply(this.item, update);
    this.kind.update?.(update);
    beforeNextFrame(this.draw);
  }

  /** Nothing more comes: a whole answer can be copied and judged. */
  finish() {
    this.kind.finish?.(this.item);
  }
}

// How a kind of item is drawn: `draw(item)` whenever it has changed. This one starts afresh.
class Simple {
  constructor(element, conversation) {
    Object.assign(this, { element, conversation });
  }

  draw(item) {
    const drawn = (SIMPLE[item.type] ?? (() => code(item)))(item, this.conversation);
    this.element.replaceChildren(...[drawn].flat(Infinity));
  }
}

class AssistantMessage extends Simple {
  parts = [];
  sources = el("ol", { class: "sources", "aria-label": "Sources", hidden: true });

  draw({ content }) {
    if (!this.parts.length) {
      this.element.append(el("h2", { class: "hidden" }, "Assistant"), this.sources);
    }
    content.forEach((part, index) => {
      if (!this.parts[index]) {
        this.parts[index] = new Markdown(el("div"));
        this.sources.before(this.parts[index].element);
      }
      this.parts[index].set(part?.text ?? "");
    });
    const cited = content.flatMap((part) => part?.annotations ?? []);
    this.sources.replaceChildren(...cited.map(({ source }) => sourceOf(source)));
    this.sources.hidden = cited.length === 0;
  }

  finish(item) {
    const text = item.content.map((part) => part.text).join("\n\n");
    if (this.tools || !text) return;
    this.tools = el("div", { class: "tools" },
      button("Copy", () => navigator.clipboard.writeText(text)),
      this.conversation.page.offers.feedback ? this.thumbs(item) : "");
    this.element.append(this.tools);
  }

  thumbs(item) {
    const thumb = (name, kind) => button(name, async () => {
      if (!(await this.conversation.feedback(item, kind))) return;
      for (const one of thumbs) one.ariaPressed = one.textContent === name;
    }, { "aria-label": `${name} answer`, "aria-pressed": "false" });
    const thumbs = [thumb("Good", "positive"), thumb("Bad", "negative")];
    return thumbs;
  }
}

class Workflow extends Simple {
  summary = el("summary");
  tasks = el("ol", { class: "tasks" });
  fold = el("details", {}, this.summary, this.tasks);
  drawn = [];

  draw({ workflow: { expanded, summary, tasks, type } }) {
    this.element.append(this.fold);
    const newest = tasks.findLast((task) => task?.title)?.title;
    const duration = summary?.duration === undefined ? "" : `Thought for ${summary.duration} s`;
    const none = type === "reasoning" ? "Thinking…" : "Steps";
    this.summary.textContent = summary?.title || duration || newest || none;
    // Only a change opens or closes it: a reader's choice stays.
    if (expanded !== this.expanded) this.fold.open = expanded;
    this.expanded = expanded;
    tasks.forEach((task, index) => {
      if (this.drawn[index] === task) return;
      this.drawn[index] = task;
      const row = el("li", {}, taskOf(task));
      if (this.tasks.children[index]) this.tasks.children[index].replaceWith(row);
      else this.tasks.append(row);
    });
  }
}

class WidgetItem extends Simple {
  draw(item) {
    this.item = item;
    if (this.root === item.widget) return;
    this.root = item.widget;
    if (this.widget) return this.widget.setRoot(item.widget);
    const act = (action) => this.conversation.act(this.item, action);
    this.widget = new Widget(item.widget, act, (element) => new Markdown(element));
    this.element.append(this.widget.element);
  }

  update({ type, component_id: id, component, delta }) {
    if (type === "widget.component.updated") this.widget.setComponent(id, component);
    if (type === "widget.streaming_text.value_delta") this.widget.appendText(id, delta);
  }
}

const code = (value) => el("pre", {}, JSON.stringify(value, null, 2));

function sourceOf({ type, title, filename, url, id, description }) {
  const name = title || filename || url || id;
  const about = description ? el("small", {}, ` ${description}`) : "";
  return el("li", {}, type === "url" ? link(url, name) : name, about);
}

function taskOf({ title, content, status_indicator: state, queries = [], sources = [] }) {
  const body = new Markdown(el("div"));
  body.set(content ?? "");
  return [
    el("strong", { class: state }, title ?? ""),
    body.element,
    queries.length ? el("p", {}, `Searched: ${queries.join(", ")}`) : "",
    el("ul", {}, sources.map(sourceOf)),
  ];
}

function userMessage({ content, attachments = [], quoted_text: quoted }) {
  const said = content.map(({ type, text }) =>
    type === "input_tag" ? el("span", { class: "tag" }, text) : text);
  const files = attachments.map(({ name, preview_url: preview }) =>
    el("li", {}, preview ? image(preview, name) : name));
  return [
    el("h2", { class: "hidden" }, "You"),
    quoted ? el("blockquote", { dir: "auto" }, quoted) : "",
    el("div", { class: "text", dir: "auto" }, said),
    files.length ? el("ul", { class: "attachments" }, files) : "",
  ];
}

function generatedImage({ image: made, progress }) {
  if (made) return image(made.url, "The generated image");
  return `Making an image…${progress == null ? "" : ` ${Math.round(progress * 100)} %`}`;
}

function clientToolCall(item, conversation) {
  const { name, status, arguments: given, output } = item;
  const waits = status === "pending";
  const says = `${name} ${waits ? "waits for this page" : "ran in this page"}`;
  return [
    el("details", {}, el("summary", {}, says), code({ arguments: given, output })),
    waits ? button("Run it", () => conversation.runClientTool(item)) : "",
  ];
}

function structuredInput(item, conversation) {
  if (item.status !== "pending") {
    return el("dl", {}, item.inputs.map(({ question, answer }) => [
      el("dt", {}, question),
      el("dd", {}, answer?.values?.join(", ") || "skipped"),
    ]));
  }
  const onsubmit = (event) => {
    event.preventDefault();
    const given = new FormData(event.currentTarget);
    const answers = item.inputs.map(({ id }) => {
      const values = given.getAll(id).filter((value) => value.trim());
      return [id, { values, skipped: values.length === 0 }];
    });
    conversation.answer(item, { status: "answered", answers: Object.fromEntries(answers) });
  };
  const skip = () => conversation.answer(item, { status: "skipped", answers: {} });
  const send = el("button", { class: "primary" }, "Answer");
  const buttons = el("p", { class: "row" }, send, button("Skip", skip));
  return el("form", { onsubmit }, item.inputs.map(questionOf), buttons);
}

function questionOf({ id: name, type, question, description, options = [], multiple }) {
  const about = description ? el("small", {}, ` ${description}`) : "";
  if (type === "freeform") return el("label", {}, question, about, el("textarea", { name }));
  const kind = multiple ? "checkbox" : "radio";
  return el("fieldset", {},
    el("legend", {}, question, about),
    options.map(({ value }) => el("label", {}, el("input", { type: kind, name, value }), value)),
    el("label", {}, "Other: ", el("input", { name })));
}

const KINDS = { assistant_message: AssistantMessage, workflow: Workflow, widget: WidgetItem };

const nothing = () => [];
const SIMPLE = {
  user_message: userMessage,
  task: ({ task }) => taskOf(task),
  generated_image: generatedImage,
  client_tool_call: clientToolCall,
  structured_input: structuredInput,
  // A marker between turns, and what must not be seen, should a server send it.
  end_of_turn: nothing,
  hidden_context_item: nothing,
  sdk_hidden_context: nothing,
};
