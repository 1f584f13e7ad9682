// The developer's panel: each request as it was sent, and the events that answered it.

import { beforeNextFrame, button, el, find } from "./dom.js";

const KEPT = 30;

/** Shows the newest turn, or another request that is chosen. */
export class Panel {
  constructor(url) {
    this.url = new URL(url, location.href).href;
    this.exchanges = [];
    const onchange = () => this.show(this.exchanges[this.choice.selectedIndex]);
    this.choice = el("select", { "aria-label": "Request", onchange });
    this.facts = el("dl");
    this.rows = el("ol");
    this.element = find("panel");
    this.draw = () => this.drawShown();
    const copy = button("Copy as curl", () => this.copy());
    this.element.append(el("p", { class: "row" }, this.choice, copy), this.facts, this.rows);
  }

  watch(exchange) {
    if (!this.exchanges.includes(exchange)) {
      this.exchanges = [exchange, ...this.exchanges].slice(0, KEPT);
      this.choice.replaceChildren(...this.exchanges.map(({ type }) => el("option", {}, type)));
      // What the page asks by itself does not push the last turn away.
      if (exchange.streams || !this.shown) this.show(exchange);
      this.choice.selectedIndex = this.exchanges.indexOf(this.shown);
    }
    if (exchange === this.shown) beforeNextFrame(this.draw);
  }

  show(exchange) {
    this.shown = exchange;
    this.rows.replaceChildren();
    this.drawShown();
  }

  toggle() {
    this.element.hidden = !this.element.hidden;
    this.drawShown();
    return !this.element.hidden;
  }

  drawShown() {
    if (this.element.hidden || !this.shown) return;
    const { events, status, requestId, took } = this.shown;
    this.rows.append(...events.slice(this.rows.children.length).map(rowOf));
    const deltas = events.filter(({ data }) => data.update?.delta !== undefined);
    const facts = Object.entries({
      status: status ?? "sent",
      "request id": requestId ?? "–",
      "first delta": ms(deltas[0]?.at),
      deltas: deltas.length,
      bytes: events.reduce((sum, { size }) => sum + size, 0),
      total: ms(took),
    }).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)));
    this.facts.replaceChildren(...facts);
  }

  async copy() {
    const { body, headers } = this.shown;
    const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;
    const given = Object.entries(headers).map((header) => `-H ${quote(header.join(": "))}`);
    const lines = [`curl -N ${this.url}`, ...given, `-d ${quote(body)}`];
    await navigator.clipboard.writeText(lines.join(" \\\n  "));
  }
}

const ms = (time) => (time === undefined ? "–" : `${Math.round(time)} ms`);

function rowOf({ at, size, data }) {
  const name = data.update?.type.replace("assistant_message.", "") ?? data.type ?? "answer";
  const cells = [ms(at), name, `${size} B`].map((cell) => el("span", {}, cell));
  const fold = el("details", {}, el("summary", {}, cells));
  fold.ontoggle = () => {
    if (!fold.children[1]) fold.append(el("pre", {}, JSON.stringify(data, null, 2)));
  };
  return el("li", {}, fold);
}
