// The items of a thread, drawn: messages, thoughts and workflows, widgets, tool calls, questions.

import { beforeNextFrame, button, el, image, link } from "./dom.js";
import { Markdown } from "./markdown.js";
import { apply } from "./protocol.js";
import { Widget } from "./widgets.js";

/** One item of the thread, as it stands in the page. */
export class ItemView {
  /**
   * @param {object} item
   * @param {object} turns what can be done with an item: `act(item, action)`, `answer(item, input)`,
   *   `runClientTool(item)`, and, where the server takes it, `feedback(item, kind)`
   */
  constructor(item, turns) {
    this.turns = turns;
    this.element = el("article", { id: item.id });
    this.draw = () => this.kind.draw(this.item);
    this.set(item);
  }

  /** Take the item as it now stands: added, done or replaced. */
  set(item) {
    if (this.item?.type !== item.type) {
      this.element.className = `item ${item.type}`;
      this.element.replaceChildren();
      this.kind = new (KINDS[item.type] ?? Unknown)(this.element, this.turns);
    }
    this.item = item;
    this.draw();
  }

  /** Do what a thread.item.updated event says; drawn before the next frame, with all others. */
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

/** How one kind of item is drawn: `draw(item)` whenever it has changed. */
class Kind {
  constructor(element, turns) {
    this.element = element;
    this.turns = turns;
  }

  draw() {}
}

class UserMessage extends Kind {
  draw({ content, attachments = [], quoted_text }) {
    const said = content.map((part) =>
      part.type === "input_tag" ? el("span", { class: "tag" }, part.text) : part.text,
    );
    const files = attachments.map(({ name, preview_url }) =>
      el("li", {}, preview_url ? image(preview_url, name) : name),
    );
    this.element.replaceChildren(
      el("h2", { class: "hidden" }, "You"),
      quoted_text ? el("blockquote", { dir: "auto" }, quoted_text) : "",
      el("div", { class: "text", dir: "auto" }, said),
      files.length ? el("ul", { class: "attachments" }, files) : "",
    );
  }
}

class AssistantMessage extends Kind {
  parts = [];
  sources = el("ol", { class: "sources", "aria-label": "Sources", hidden: true });

  draw({ content }) {
    if (!this.parts.length) {
      this.element.append(el("h2", { class: "hidden" }, "Assistant"), this.sources);
    }
    content.forEach((part, index) => {
      if (!this.parts[index]) {
        const drawn = el("div");
        this.sources.before(drawn);
        this.parts[index] = new Markdown(drawn);
      }
      this.parts[index].set(part?.text ?? "");
    });
    const cited = content.flatMap((part) => part?.annotations ?? []);
    this.sources.replaceChildren(...cited.map(({ source }) => el("li", {}, sourceOf(source))));
    this.sources.hidden = cited.length === 0;
  }

  finish(item) {
    const text = item.content.map((part) => part.text).join("\n\n");
    if (this.tools || !text) return;
    this.tools = el("div", { class: "tools" }, button("Copy", () => navigator.clipboard.writeText(text)));
    if (this.turns.feedback) this.tools.append(...this.thumbs(item));
    this.element.append(this.tools);
  }

  thumbs(item) {
    const thumbs = ["positive", "negative"].map((kind, index) =>
      button(["Good", "Bad"][index], async () => {
        if (!(await this.turns.feedback(item, kind))) return;
        for (const thumb of thumbs) thumb.ariaPressed = thumb === thumbs[index];
      }, { "aria-label": ["Good answer", "Bad answer"][index], "aria-pressed": "false" }),
    );
    return thumbs;
  }
}

function sourceOf(source) {
  const title = source.title || source.filename || source.url || source.id;
  return [
    source.type === "url" ? link(source.url, title) : title,
    source.description ? el("small", {}, ` ${source.description}`) : "",
  ];
}

class Workflow extends Kind {
  summary = el("summary");
  tasks = el("ol", { class: "tasks" });
  fold = el("details", {}, this.summary, this.tasks);
  drawn = [];

  draw({ workflow }) {
    this.element.append(this.fold);
    this.summary.textContent = titleOf(workflow);
    if (workflow.expanded !== this.expanded) this.fold.open = Boolean(workflow.expanded);
    this.expanded = workflow.expanded;
    workflow.tasks.forEach((task, index) => {
      if (this.drawn[index] === task) return;
      this.drawn[index] = task;
      const row = el("li", {}, taskOf(task));
      if (this.tasks.children[index]) this.tasks.children[index].replaceWith(row);
      else this.tasks.append(row);
    });
  }
}

function titleOf({ type, summary, tasks }) {
  if (summary?.title) return summary.title;
  if (summary?.duration !== undefined) return `Thought for ${summary.duration} s`;
  return tasks.findLast((task) => task?.title)?.title ?? (type === "reasoning" ? "Thinking…" : "Steps");
}

function taskOf({ title = "", content = "", status_indicator, queries = [], sources = [] }) {
  const body = el("div");
  new Markdown(body).set(content ?? "");
  return [
    el("strong", { class: status_indicator }, title),
    body,
    queries.length ? el("p", {}, `Searched: ${queries.join(", ")}`) : "",
    el("ul", {}, sources.map((source) => el("li", {}, sourceOf(source)))),
  ];
}

class Task extends Kind {
  draw({ task }) {
    this.element.replaceChildren(...taskOf(task).flat());
  }
}

class WidgetItem extends Kind {
  draw(item) {
    if (this.root === item.widget) return;
    this.root = item.widget;
    this.item = item;
    if (this.widget) return this.widget.setRoot(item.widget);
    const act = (action) => this.turns.act(this.item, action);
    this.widget = new Widget(item.widget, act, (element) => new Markdown(element));
    this.element.append(this.widget.element);
  }

  update({ type, component_id, component, delta, done }) {
    if (type === "widget.component.updated") this.widget.setComponent(component_id, component);
    if (type === "widget.streaming_text.value_delta") this.widget.appendText(component_id, delta, done);
  }
}

class GeneratedImage extends Kind {
  draw({ image: made, progress }) {
    const share = progress == null ? "" : ` ${Math.round(progress * 100)} %`;
    this.element.replaceChildren(
      made ? image(made.url, "The generated image") : `Making an image…${share}`,
    );
  }
}

class ClientToolCall extends Kind {
  draw(item) {
    const waits = item.status === "pending";
    const { name, arguments: given, output } = item;
    this.element.replaceChildren(
      el(
        "details",
        {},
        el("summary", {}, `${name} ${waits ? "waits for this page" : "ran in this page"}`),
        el("pre", {}, JSON.stringify({ arguments: given, output }, null, 2)),
      ),
      waits ? button("Run it", () => this.turns.runClientTool(item)) : "",
    );
  }
}

class StructuredInput extends Kind {
  draw(item) {
    if (item.status !== "pending") {
      const rows = item.inputs.map(({ question, answer }) => [
        el("dt", {}, question),
        el("dd", {}, answer?.values?.join(", ") || "skipped"),
      ]);
      this.element.replaceChildren(el("dl", {}, rows));
      return;
    }
    const submit = (event) => {
      event.preventDefault();
      const given = new FormData(event.currentTarget);
      const answers = item.inputs.map(({ id }) => {
        const values = given.getAll(id).filter((value) => value.trim());
        return [id, { values, skipped: values.length === 0 }];
      });
      this.turns.answer(item, { status: "answered", answers: Object.fromEntries(answers) });
    };
    const skip = button("Skip", () => this.turns.answer(item, { status: "skipped", answers: {} }));
    const send = el("button", { class: "primary" }, "Answer");
    const form = el("form", { onsubmit: submit }, item.inputs.map(questionOf));
    form.append(el("p", { class: "row" }, send, skip));
    this.element.replaceChildren(form);
  }
}

function questionOf({ id, type, question, description, options = [], multiple }) {
  const about = description ? el("small", {}, ` ${description}`) : "";
  if (type === "freeform") return el("label", {}, question, about, el("textarea", { name: id, rows: 2 }));
  const kind = multiple ? "checkbox" : "radio";
  return el(
    "fieldset",
    {},
    el("legend", {}, question),
    options.map(({ value }) => el("label", {}, el("input", { type: kind, name: id, value }), value)),
    el("label", {}, "Other: ", el("input", { name: id })),
  );
}

class Unknown extends Kind {
  draw(item) {
    this.element.replaceChildren(el("pre", {}, JSON.stringify(item, null, 2)));
  }
}

const KINDS = {
  user_message: UserMessage,
  assistant_message: AssistantMessage,
  workflow: Workflow,
  task: Task,
  widget: WidgetItem,
  generated_image: GeneratedImage,
  client_tool_call: ClientToolCall,
  structured_input: StructuredInput,
  // A marker between turns, and what must not be seen, should a server send it.
  end_of_turn: Kind,
  hidden_context_item: Kind,
  sdk_hidden_context: Kind,
};
