// The items of a thread, drawn: messages, thoughts and workflows, widgets, tool calls, questions.

import { beforeNextFrame, button, el, image, link, onSubmit } from "./dom.js";
import { Markdown } from "./markdown.js";
import { apply } from "./protocol.js";
import { Widget } from "./widgets.js";

export class ItemView {
  constructor(item, conversation) {
    this.element = el(`article.item.${item.type}`, { id: item.id });
    this.kind = (KINDS[item.type] ?? afresh(code))(this.element, conversation);
    this.draw = () => this.kind.draw(this.item);
    this.set(item);
  }

  set(item) {
    this.item = item;
    this.draw();
  }

  update(update) {
    apply(this.item, update);
    this.kind.update?.(update);
    beforeNextFrame(this.draw);
  }
}

// Each kind's `draw(item)` is called whenever the item has changed.

const afresh = (drawn) => (element, conversation) => ({
  draw: (item) => element.replaceChildren(...[drawn(item, conversation)].flat(Infinity)),
});

function assistantMessage(element, conversation) {
  const message = new Markdown();
  const sources = el("ol.sources", { "aria-label": "Sources" });
  let said;
  const judge = (kind) => ({ currentTarget: chosen }) => conversation.trying(async () => {
    await conversation.ask("items.feedback", { item_ids: [element.id], kind });
    for (const thumb of thumbs) thumb.ariaPressed = thumb === chosen;
  });
  const kinds = { Good: "positive", Bad: "negative" };
  const thumbs = Object.entries(kinds).map(([name, kind]) => button(name, judge(kind),
    { "aria-label": `${name} answer`, "aria-pressed": "false" }));
  const copy = button("Copy", () => navigator.clipboard.writeText(said));
  const tools = el("p.row.tools", copy, thumbs);
  element.append(el("h2.hidden", "Assistant"), message.element, sources, tools);
  return {
    draw({ content }) {
      said = content.map((part) => part?.text ?? "").join("\n\n");
      message.set(said);
      const cited = content.flatMap((part) => part?.annotations ?? []);
      sources.replaceChildren(...cited.map(({ source }) => sourceOf(source)));
    },
  };
}

function workflow(element) {
  const title = el("summary");
  const list = el("ol.tasks");
  const fold = el("details", title, list);
  let wasExpanded;
  element.append(fold);
  return {
    draw({ workflow: { expanded, summary, tasks, type } }) {
      const newest = tasks.findLast((task) => task?.title)?.title;
      const duration = summary?.duration && `Thought for ${summary.duration} s`;
      const none = type === "reasoning" ? "Thinking…" : "Steps";
      title.textContent = summary?.title || duration || newest || none;
      // Only a change opens or closes it: a reader's choice stays.
      if (expanded !== wasExpanded) fold.open = expanded;
      wasExpanded = expanded;
      list.replaceChildren(...tasks.map((task) => el("li", taskOf(task ?? {}))));
    },
  };
}

function widgetItem(element, conversation) {
  let drawn;
  const widget = new Widget(drawn, (action) => conversation.act(element.id, action));
  element.append(widget.element);
  return {
    draw({ widget: root }) {
      if (drawn !== root) widget.setRoot(root);
      drawn = root;
    },
    update({ type, component_id: id, component, delta }) {
      if (type === "widget.component.updated") widget.setComponent(id, component);
      if (type === "widget.streaming_text.value_delta") widget.appendText(id, delta);
    },
  };
}

const code = (value) => el("pre", JSON.stringify(value, null, 2));

const note = (text) => (text ? el("small", ` ${text}`) : "");

function sourceOf({ type, title, filename, url, id, description }) {
  const name = title || filename || url || id;
  return el("li", type === "url" ? link(url, name) : name, note(description));
}

function taskOf({ title, content, status_indicator: state, queries = [], sources = [] }) {
  return [
    el("strong", { class: state }, title ?? ""),
    new Markdown().set(content ?? ""),
    queries.map((query) => el("p", `Searched: ${query}`)),
    el("ul", sources.map(sourceOf)),
  ];
}

function userMessage({ content, attachments = [], quoted_text: quoted }) {
  const said = content.map(({ type, text }) =>
    type === "input_tag" ? el("span.tag", text) : text);
  const files = attachments.map(({ name, preview_url: preview }) =>
    el("li", preview ? image(preview, name) : name));
  return [
    el("h2.hidden", "You"),
    el("blockquote", { dir: "auto" }, quoted ?? ""),
    el("div", { dir: "auto" }, said),
    el("ul", files),
  ];
}

function clientToolCall(item, conversation) {
  const waits = item.status === "pending";
  const says = `${item.name} ${waits ? "waits for this page" : "ran in this page"}`;
  return [
    el("details", el("summary", says), code({ arguments: item.arguments, output: item.output })),
    waits ? button("Run it", () => conversation.runClientTool(item)) : "",
  ];
}

function structuredInput({ id: item, status, inputs }, conversation) {
  if (status !== "pending") {
    return el("dl", inputs.map(({ question, answer }) =>
      [el("dt", question), el("dd", answer?.values?.join(", ") || "skipped")]));
  }
  const answer = (input) =>
    conversation.run("threads.add_structured_input", { item_id: item, input });
  const onsubmit = onSubmit((form) => {
    const given = new FormData(form);
    const answers = inputs.map(({ id }) => {
      const values = given.getAll(id).filter((value) => value.trim());
      return [id, { values, skipped: values.length === 0 }];
    });
    return answer({ status: "answered", answers: Object.fromEntries(answers) });
  });
  const skip = button("Skip", () => answer({ status: "skipped", answers: {} }));
  const send = el("button.primary", "Answer");
  return el("form", { onsubmit }, inputs.map(questionOf), el("p.row", send, skip));
}

function questionOf({ id: name, type, question, description, options = [], multiple }) {
  const asked = [question, note(description)];
  if (type === "freeform") return el("label", asked, el("textarea", { name }));
  const kind = multiple ? "checkbox" : "radio";
  return el("fieldset",
    el("legend", asked),
    options.map(({ value }) => el("label", el("input", { type: kind, name, value }), value)),
    el("label", "Other: ", el("input", { name })));
}

const nothing = afresh(() => []);
const KINDS = {
  assistant_message: assistantMessage,
  workflow,
  widget: widgetItem,
  user_message: afresh(userMessage),
  task: afresh(({ task }) => taskOf(task)),
  generated_image: afresh(({ image: made }) =>
    made ? image(made.url, "The generated image") : "Making an image…"),
  client_tool_call: afresh(clientToolCall),
  structured_input: afresh(structuredInput),
  // A marker, and what must not be seen, should a server send it.
  end_of_turn: nothing,
  hidden_context_item: nothing,
  sdk_hidden_context: nothing,
};
