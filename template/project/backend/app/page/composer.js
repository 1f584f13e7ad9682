// Where a message is written: text, tags, attachments, the model that shall answer.

import { button, el, find } from "./dom.js";
import { searchTags } from "./handlers.js";

/** The form below the conversation. */
export class Composer {
  /**
   * @param {import("./protocol.js").Client} client
   * @param {object} page `send(input, accepted)`, `stop()` and `fail(sentence)`, and `offers`:
   *   `attachments` and `models`
   */
  constructor(client, page) {
    this.client = client;
    this.page = page;
    this.files = [];
    this.tags = [];
    this.form = find("composer");
    this.text = find("text");
    this.extras = find("extras");
    this.form.onsubmit = (event) => {
      event.preventDefault();
      if (this.busy) page.stop();
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
      this.model = el("select", { "aria-label": "Model" }, models.map((name) => el("option", {}, name)));
      find("options").append(this.model);
    }
    if (attachments) this.takeFiles();
  }

  /** Show whether an answer is under way, or why nothing can be written. */
  show({ busy, closed }) {
    this.busy = busy;
    find("send").textContent = busy ? "Stop" : "Send";
    find("send").disabled = Boolean(closed);
    this.text.disabled = Boolean(closed);
    this.text.placeholder = closed ?? "Write a message";
  }

  async submit() {
    const text = this.text.value.trim();
    if (!text && !this.files.length) return;
    const model = this.model?.value;
    const input = {
      content: this.contentOf(text),
      attachments: this.files.map(({ id }) => id),
      inference_options: model ? { model } : {},
    };
    await this.page.send(input, () => this.clear());
  }

  clear() {
    this.text.value = "";
    this.files = [];
    this.tags = [];
    this.drawFiles();
  }

  /** The text with its tags cut out as parts of their own. */
  contentOf(text) {
    let parts = [{ type: "input_text", text }];
    for (const { id, text: name, data = {}, group } of this.tags) {
      parts = parts.flatMap((part) => {
        const at = part.type === "input_text" ? part.text.indexOf(`@${name}`) : -1;
        if (at < 0) return [part];
        const around = [part.text.slice(0, at), part.text.slice(at + name.length + 1)];
        const [before, after] = around.map((rest) => ({ type: "input_text", text: rest }));
        return [before, { type: "input_tag", id, text: name, data, group }, after];
      });
    }
    return parts.filter((part) => part.text);
  }

  async offerTags() {
    const begun = searchTags && /(?:^|\s)@(\S*)$/.exec(this.text.value.slice(0, this.text.selectionStart));
    const found = begun ? await searchTags(begun[1]) : [];
    find("tags").replaceChildren(
      ...found.map((tag) =>
        button(tag.text, () => {
          const at = this.text.selectionStart;
          this.text.setRangeText(`@${tag.text} `, at - begun[1].length - 1, at, "end");
          this.tags.push(tag);
          find("tags").replaceChildren();
          this.text.focus();
        }),
      ),
    );
  }

  takeFiles() {
    const input = el("input", { type: "file", multiple: true, hidden: true });
    input.onchange = () => this.attach([...input.files]).then(() => (input.value = ""));
    find("options").append(input, button("Attach", () => input.click()));
    this.form.ondragover = (event) => event.preventDefault();
    this.form.ondrop = (event) => {
      event.preventDefault();
      this.attach([...event.dataTransfer.files]);
    };
  }

  async attach(files) {
    for (const file of files) {
      try {
        const attachment = await this.client.ask("attachments.create", {
          name: file.name,
          size: file.size,
          mime_type: file.type || "application/octet-stream",
        });
        if (attachment.upload_descriptor) {
          const { url, method, headers } = attachment.upload_descriptor;
          const sent = await fetch(url, { method, headers, body: file });
          if (!sent.ok) throw new Error(`${file.name} could not be uploaded.`);
        }
        this.files.push(attachment);
      } catch (error) {
        this.page.fail(error.message);
      }
    }
    this.drawFiles();
  }

  async detach(file) {
    this.files = this.files.filter((other) => other !== file);
    this.drawFiles();
    await this.client.ask("attachments.delete", { attachment_id: file.id }).catch(() => {});
  }

  drawFiles() {
    const chips = this.files.map((file) => {
      const away = button("✕", () => this.detach(file), { "aria-label": `Take ${file.name} away` });
      return el("li", {}, file.name, away);
    });
    this.extras.replaceChildren(...chips);
  }
}
