// The developer's panel: each request as it was sent, and the events that answered it.

import { beforeNextFrame, button, el, find } from "./dom.js";

const panel = find("panel");
const facts = el("p");
const rows = el("ol");
const kept = [];
const KEPT = 30;
const onchange = () => show(kept[choice.selectedIndex]);
const choice = el("select", { "aria-label": "Request", onchange });
let shown;
panel.append(el("div.row", choice, button("Copy as curl", copy)), facts, rows);

export function watch(exchange) {
  if (!kept.includes(exchange)) {
    kept.unshift(exchange);
    kept.splice(KEPT);
    choice.replaceChildren(...kept.map(({ type }) => el("option", type)));
    // What the page asks by itself does not push the last turn away.
    if (exchange.streams || !shown) show(exchange);
    choice.selectedIndex = kept.indexOf(shown);
  }
  if (exchange === shown) beforeNextFrame(draw);
}

function show(exchange) {
  shown = exchange;
  rows.replaceChildren();
  draw();
}

export function toggle() {
  panel.hidden = !panel.hidden;
  draw();
  return !panel.hidden;
}

function draw() {
  if (panel.hidden || !shown) return;
  const { events, requestId, took } = shown;
  rows.append(...events.slice(rows.children.length).map(rowOf));
  const deltas = events.filter(({ data }) => data.update?.delta !== undefined);
  facts.textContent = `Request ${requestId ?? "–"}: first delta after ${ms(deltas[0]?.at)}, `
    + `${deltas.length} deltas, ${ms(took)} in total.`;
}

const ms = (time) => (time === undefined ? "–" : `${Math.round(time)} ms`);

function rowOf({ at, size, data }) {
  const name = data.update?.type.replace("assistant_message.", "") ?? data.type ?? "answer";
  const cells = [ms(at), name, `${size} B`].map((cell) => el("span", cell));
  const fold = el("details", el("summary", cells));
  fold.ontoggle = () => {
    if (!fold.children[1]) fold.append(el("pre", JSON.stringify(data, null, 2)));
  };
  return el("li", fold);
}

function copy() {
  const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  // A token is nothing to pass on: it is the reader's own $TOKEN.
  const headers = Object.entries(shown.headers).map(([name, value]) =>
    `-H ${name === "Authorization" ? `"${name}: Bearer $TOKEN"` : quote(`${name}: ${value}`)}`);
  const lines = [`curl -N ${shown.url}`, ...headers, `-d ${quote(shown.body)}`];
  return navigator.clipboard.writeText(lines.join(" \\\n  "));
}
