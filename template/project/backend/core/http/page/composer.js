// Where a message is written: text, tags, attachments, the model and the tool that shall answer.

import { here } from "./conversation.js";
import { button, el, find, onSubmit } from "./dom.js";
import { searchTags } from "./handlers.js";
import { ask } from "./protocol.js";
import { about } from "./shared.js";
import { authorization } from "./signin.js";

const { models, tools, attachments } = about.offers;
const send = find("send");
const text = find("text");
const model = el("select", { "aria-label": "Model" }, models.map(optionOf));
const tool = el("select", { "aria-label": "Tool", onchange: invite },
  el("option", { value: "" }, "No tool"), tools.map(optionOf));
const picker = el("input", { type: "file", multiple: true, hidden: true });
let turn;
let files = [];
let tags = [];
let closed;

if (models.length) find("options").append(model);
if (tools.length) find("options").append(tool);
if (attachments) find("options").append(picker, button("Attach", () => picker.click()));
find("composer").onsubmit = onSubmit(() => (turn ? turn.abort() : submit()));
// The second click of two shall not stop what the first has sent.
send.onclick = ({ detail }) => detail < 2;
text.oninput = offerTags;
text.onkeydown = (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  if (!turn) submit();
};
picker.onchange = async () => {
  for (const file of picker.files) await here.open.trying(() => upload(file));
  picker.value = "";
};

/** `running`: the turn to stop, if there is one; `why`: why nothing can be written. */
export function showComposer(running, why) {
  [turn, closed] = [running, why];
  send.textContent = turn ? "Stop" : "Send";
  send.disabled = text.disabled = Boolean(closed);
  invite();
}

const toolChosen = () => tools.find(({ id }) => id === tool.value);

function invite() {
  text.placeholder = closed || toolChosen()?.placeholderOverride || "Write a message";
}

function optionOf({ id, label, description, disabled, default: selected }) {
  return el("option", { value: id, title: description, disabled, selected }, label);
}

export function submit(said = text.value) {
  if (!said.trim() && !files.length) return;
  const input = {
    content: contentOf(said.trim()),
    attachments: files.map(({ id }) => id),
    inference_options: {
      model: model.value || undefined,
      tool_choice: tool.value ? { id: tool.value } : undefined,
    },
  };
  const type = here.open.thread ? "threads.add_user_message" : "threads.create";
  here.open.run(type, { input }, () => {
    text.value = "";
    tags = [];
    drawFiles([]);
    if (!toolChosen()?.persistent) tool.value = "";
    invite();
  });
}

function contentOf(said) {
  const plain = (part) => ({ type: "input_text", text: part });
  let parts = [plain(said)];
  for (const { id, text: name, data = {}, group } of tags) {
    const tag = { type: "input_tag", id, text: name, data, group };
    parts = parts.flatMap((part) => {
      const [before, ...after] = part.id ? [] : part.text.split(`@${name}`);
      return after.length ? [plain(before), tag, plain(after.join(`@${name}`))] : part;
    });
  }
  return parts.filter((part) => part.text);
}

async function offerTags() {
  const { value, selectionStart: at } = text;
  const begun = /(?:^|\s)@(\S*)$/.exec(value.slice(0, at));
  const found = begun && searchTags ? await searchTags(begun[1]) : [];
  find("tags").replaceChildren(...found.map((tag) => button(tag.text, () => {
    text.setRangeText(`@${tag.text} `, at - begun[1].length - 1, at, "end");
    tags.push(tag);
    find("tags").replaceChildren();
    text.focus();
  })));
}

async function upload(file) {
  const { name, size, type } = file;
  const params = { name, size, mime_type: type || "application/octet-stream" };
  const attachment = await ask("attachments.create", params);
  if (attachment.upload_descriptor) {
    const { url, method, headers } = attachment.upload_descriptor;
    const given = { ...authorization(url), ...headers };
    // As ChatKit.js does: a form by POST, and the bytes alone by PUT.
    const form = new FormData();
    form.append("file", file);
    const body = method === "POST" ? form : file;
    const sent = await fetch(url, { method, headers: given, body });
    if (!sent.ok) throw new Error(`${name} could not be uploaded.`);
  }
  drawFiles([...files, attachment]);
}

function drawFiles(attached) {
  files = attached;
  find("extras").replaceChildren(...files.map((file) => {
    const detach = () => {
      drawFiles(files.filter((other) => other !== file));
      ask("attachments.delete", { attachment_id: file.id }).catch(() => {});
    };
    const label = { "aria-label": `Take ${file.name} away` };
    return el("li", file.name, button("✕", detach, label));
  }));
}
