// Where a message is written: text, tags, attachments, the model that shall answer.

import { button, el, find } from "./dom.js";
import { searchTags } from "./handlers.js";

/** The form below the conversation. */
export class Composer {
  /** `page`: open(), the conversation that is shown; offers: attachments and models. */
  constructor(client, page) {
    Object.assign(this, { client, page, files: [], tags: [], text: find("text") });
    find("composer").onsubmit = (event) => {
      event.preventDefault();
      if (this.busy) page.open().stop();
      else this.submit();
    };
    this.text.onkeydown = (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      if (!this.busy) this.submit();
    };
    this.text.oninput = () => this.offerTags();
    const { models, attachments } = page.offers;
    if (models.length) {
      const options = models.map((name) => el("option", {}, name));
      this.model = el("select", { "aria-label": "Model" }, options);
      find("options").append(this.model);
    }
    if (attachments) this.takeFiles();
  }

  /** `busy`: an answer is under way; `closed`: why nothing can be written. */
  show({ busy, closed }) {
    this.busy = busy;
    find("send").textContent = busy ? "Stop" : "Send";
    find("send").disabled = this.text.disabled = Boolean(closed);
    this.text.placeholder = closed || "Write a message";
  }

  async submit() {
    const text = this.text.value.trim();
    if (!text && !this.files.length) return;
    const input = {
      content: this.contentOf(text),
      attachments: this.files.map(({ id }) => id),
      inference_options: { model: this.model?.value },
    };
    await this.page.open().send(input, () => {
      this.text.value = "";
      this.files = [];
      this.tags = [];
      this.drawFiles();
    });
  }

  // The text with its tags cut out as parts of their own.
  contentOf(text) {
    let parts = [{ type: "input_text", text }];
    for (const { id, text: name, data = {}, group } of this.tags) {
      parts = parts.flatMap((part) => {
        const at = part.type === "input_text" ? part.text.indexOf(`@${name}`) : -1;
        if (at < 0) return part;
        const before = { ...part, text: part.text.slice(0, at) };
        const after = { ...part, text: part.text.slice(at + name.length + 1) };
        return [before, { type: "input_tag", id, text: name, data, group }, after];
      });
    }
    return parts.filter((part) => part.text);
  }

  async offerTags() {
    if (!searchTags) return;
    const { value, selectionStart: at } = this.text;
    const begun = /(?:^|\s)@(\S*)$/.exec(value.slice(0, at));
    const found = begun ? await searchTags(begun[1]) : [];
    const offers = found.map((tag) => button(tag.text, () => {
      this.text.setRangeText(`@${tag.text} `, at - begun[1].length - 1, at, "end");
      this.tags.push(tag);
      find("tags").replaceChildren();
      this.text.focus();
    }));
    find("tags").replaceChildren(...offers);
  }

  takeFiles() {
    const input = el("input", { type: "file", multiple: true, hidden: true });
    input.onchange = async () => {
      await this.attach(input.files);
      input.value = "";
    };
    find("options").append(input, button("Attach", () => input.click()));
  }

  async attach(files) {
    for (const file of files) await this.page.open().trying(() => this.upload(file));
    this.drawFiles();
  }

  async upload(file) {
    const { name, size, type } = file;
    const params = { name, size, mime_type: type || "application/octet-stream" };
    const attachment = await this.client.ask("attachments.create", params);
    if (attachment.upload_descriptor) {
      const { url, method, headers } = attachment.upload_descriptor;
      const sent = await fetch(url, { method, headers, body: file });
      if (!sent.ok) throw new Error(`${name} could not be uploaded.`);
    }
    this.files.push(attachment);
  }

  async detach(file) {
    this.files = this.files.filter((other) => other !== file);
    this.drawFiles();
    await this.client.ask("attachments.delete", { attachment_id: file.id }).catch(() => {});
  }

  drawFiles() {
    const chips = this.files.map((file) => {
      const label = { "aria-label": `Take ${file.name} away` };
      return el("li", {}, file.name, button("✕", () => this.detach(file), label));
    });
    find("extras").replaceChildren(...chips);
  }
}
