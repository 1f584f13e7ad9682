// The items of a thread, drawn: messages, thoughts and workflows, widgets, tool calls, questions.

import { beforeNextFrame, button, el, image, link, onSubmit } from "./dom.js";
import { Markdown } from "./markdown.js";
import { about, apply } from "./protocol.js";
import { Widget } from "./widgets.js";

/** One item of the thread, as it stands in the page. */
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

  /** Do what an update says; drawn before the next frame, with all others. */
  update(update) {
    apply(this.item, update);
    this.kind.update?.(update);
    beforeNextFrame(this.draw);
  }
}

// A kind makes `draw(item)` for an element, called whenever the item has changed.

const afresh = (drawn) => (element, conversation) => ({
  draw: (item) => element.replaceChildren(...[drawn(item, conversation)].flat(Infinity)),
});

function assistantMessage(element, conversation) {
  const message = new Markdown();
  const sources = el("ol.sources", { "aria-label": "Sources" });
  let said;
  const judge = (kind) => async ({ currentTarget: chosen }) => {
    if (!(await conversation.feedback(element.id, kind))) return;
    for (const thumb of thumbs) thumb.ariaPressed = thumb === chosen;
  };
  const thumb = (name, kind) => button(name, judge(kind),
    { "aria-label": `${name} answer`, "aria-pressed": "false" });
  const thumbs = about.offers.feedback
    ? [thumb("Good", "positive"), thumb("Bad", "negative")] : [];
  element.append(
    el("h2.hidden", "Assistant"),
    message.element,
    sources,
    el("p.row.tools",
      button("Copy", () => navigator.clipboard.writeText(said)), thumbs));
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
  const drawn = [];
  let wasExpanded;
  element.append(fold);
  return {
    draw({ workflow: { expanded, summary, tasks, type } }) {
      const newest = tasks.findLast((task) => task?.title)?.title;
      const duration = summary?.duration === undefined ? "" : `Thought for ${summary.duration} s`;
      const none = type === "reasoning" ? "Thinking…" : "Steps";
      title.textContent = summary?.title || duration || newest || none;
      // Only a change opens or closes it: a reader's choice stays.
      if (expanded !== wasExpanded) fold.open = expanded;
      wasExpanded = expanded;
      tasks.forEach((task, index) => {
        if (drawn[index] === task) return;
        drawn[index] = task;
        list.children[index]?.remove();
        list.insertBefore(el("li", taskOf(task)), list.children[index] ?? null);
      });
    },
  };
}

function widgetItem(element, conversation) {
  let drawn = {};
  const act = (action) => conversation.act(element.id, action);
  const widget = new Widget(drawn, act, (target) => new Markdown(target));
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
    queries.length ? el("p", `Searched: ${queries.join(", ")}`) : "",
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
    quoted ? el("blockquote", { dir: "auto" }, quoted) : "",
    el("div.text", { dir: "auto" }, said),
    files.length ? el("ul.attachments", files) : "",
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
    el("details", el("summary", says), code({ arguments: given, output })),
    waits ? button("Run it", () => conversation.runClientTool(item)) : "",
  ];
}

function structuredInput({ id: item, status, inputs }, conversation) {
  if (status !== "pending") {
    return el("dl", inputs.map(({ question, answer }) => [
      el("dt", question),
      el("dd", answer?.values?.join(", ") || "skipped"),
    ]));
  }
  const onsubmit = onSubmit((form) => {
    const given = new FormData(form);
    const answers = inputs.map(({ id }) => {
      const values = given.getAll(id).filter((value) => value.trim());
      return [id, { values, skipped: values.length === 0 }];
    });
    conversation.answer(item, { status: "answered", answers: Object.fromEntries(answers) });
  });
  const skip = () => conversation.answer(item, { status: "skipped", answers: {} });
  return el("form", { onsubmit }, inputs.map(questionOf), el("p.row",
    el("button.primary", "Answer"), button("Skip", skip)));
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

const nothing = () => [];
const KINDS = {
  assistant_message: assistantMessage,
  workflow,
  widget: widgetItem,
  user_message: afresh(userMessage),
  task: afresh(({ task }) => taskOf(task)),
  generated_image: afresh(generatedImage),
  client_tool_call: afresh(clientToolCall),
  structured_input: afresh(structuredInput),
  // A marker between turns, and what must not be seen, should a server send it.
  end_of_turn: afresh(nothing),
  hidden_context_item: afresh(nothing),
  sdk_hidden_context: afresh(nothing),
};
