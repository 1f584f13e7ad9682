// Markdown as DOM nodes; HTML in it stays text. Input may be hostile: blocks nest no deeper than
// this, and every expression is linear.

import { button, el, link } from "./dom.js";

const DEEPEST = 16;

const join = (parts, flags) => new RegExp(parts.map((part) => part.source).join(""), flags);

const BLOCK = join([
  /^\s*(?<fence>`{3,}(?=[^`]*$)|~{3,})\s*(?<language>\S*)/,
  /|^\s*(?<level>#{1,6})(?<heading>\s[^]*|$)/,
  /|^\s*(?<rule>[-*_])\s*(?:\k<rule>\s*){2,}$/,
  /|^\s*(?<quote>>) ?/,
  // "1986. A good year" is no item.
  /|^\s*(?<marker>[-+*]|\d{1,3}[.)])(?:\s+|$)/,
]);
const TABLE = /^(?=.*-)(?=.*\|)[\s|:-]+$/;
const TASK = /^\s*\[([ xX])\]\s+(?=\S)/;
// None may hold its like, which bounds how deep they nest.
const INLINE = join([
  /(?<hard>(?<! ) {2,}|\\)\n|\\(?<escaped>[!-/:-@[-`{-~])/,
  /|(?<!`)(?<ticks>`+)(?!`)(?<code>[^]*?[^`])\k<ticks>(?!`)/,
  /|<(?<auto>(?:https?:|mailto:)[^\s<>]+)>/,
  /|\b(?<bare>https?:\/\/(?:[^\s<>[\]`"()]|\([^\s()]*\))+(?<![?!.,:;*_~']))/,
  /|!?\[(?<label>(?:\\[^]|`[^`]*`|\[[^[\]]*\]|[^[\]\\`])*)\]/,
  /\(<?(?<target>(?:[^\s()<>]|\([^\s()]*\))*)>?(?:\s+"(?<title>[^"]*)")?\s*\)/,
  /|(?<two>\*\*|~~)(?=\S)(?:\\[^]|`[^`]*`|(?!\k<two>(?!\*))[^\\`])+?(?<=\S)\k<two>(?!\*)/,
  /|\*(?=[^\s*])(?:\\[^]|`[^`]*`|[^\\`*]|\*\*)+?(?<=\S)\*(?!\*)/,
  /|(?<!\w)(?<low>_{1,3})(?=[^\s_])(?:\\[^]|`[^`]*`|[^\\`_]|(?<=\w)_+(?=\w))+?(?<=\S)\k<low>(?!\w)/,
  /|(?<plain>`+|\*+|_+|~+)/,
], "gu");

function inline(text, linked) {
  const out = new DocumentFragment();
  let done = 0;
  for (const { 0: token, index, groups } of text.matchAll(INLINE)) {
    const { hard, escaped, code, auto, bare = auto, label, target, title, plain } = groups;
    let node = escaped ?? plain;
    if (hard) node = el("br");
    if (code) node = el("code", code.replace(/^\s([^]+)\s$/, "$1"));
    if (bare) node = linked ? bare : link(bare, bare);
    if (label !== undefined) {
      // Images too: the page's policy bars those of other hosts.
      node = inline(label, true);
      const address = target.replace(/\\(?=[!-~])/g, "");
      if (!linked) node = link(address, node.textContent ? node : address, title);
    }
    if (!node) {
      const size = token[1] === token[0] ? 2 : 1;
      const tag = token[0] === "~" ? "del" : size > 1 ? "strong" : "em";
      node = el(tag, inline(token.slice(size, -size), linked));
    }
    out.append(text.slice(done, index), node);
    done = index + token.length;
  }
  out.append(text.slice(done));
  return out;
}

function code(language, source) {
  const copy = button("Copy", async () => {
    await navigator.clipboard.writeText(source);
    copy.textContent = "Copied";
  });
  return el("figure",
    el("figcaption", language, copy),
    el("pre", { tabindex: 0 }, el("code", source)));
}

const cells = (line) => line.trim().replace(/^\||(?<!\\)\|$/g, "").split(/(?<!\\)\|/)
  .map((cell) => cell.trim().replaceAll("\\|", "|"));

function table([header, rule, ...rows]) {
  const element = el("table");
  const sides = cells(rule).map((cell) =>
    !cell.endsWith(":") ? "" : cell[0] === ":" ? "center" : "right");
  [header, ...rows].forEach((line, n) => {
    const row = element.insertRow();
    cells(line).forEach((cell, i) =>
      row.append(el(n ? "td" : "th", { class: sides[i] }, inline(cell))));
  });
  return el("div", { tabindex: 0, role: "group", "aria-label": "Table" }, element);
}

const indent = (line) => line.search(/\S|$/);

function list(first, kind, take, depth) {
  const items = [];
  let deep = Infinity;
  const add = (tabbed) => {
    const line = tabbed.replaceAll("\t", "    ");
    const { 0: head, groups } = BLOCK.exec(line) ?? {};
    if (!line.trim() || indent(line) >= deep) return items.at(-1).push(line.slice(deep));
    if (groups?.marker?.at(-1) !== kind.at(-1)) return false;
    deep = Math.min(deep, indent(line) + 2);
    return items.push([line.slice(head.length).padStart(line.length - deep)]);
  };
  add(first);
  take(add);
  return () => {
    const element = kind[1] ? el("ol", { start: parseInt(kind) }) : el("ul");
    for (const [line, ...more] of items) {
      const task = line.replace(TASK, (_, mark) => (mark === " " ? "☐ " : "☑ "));
      element.append(fill(el("li"), [task, ...more], depth));
    }
    return element;
  };
}

function* blocks(lines, depth) {
  let from, at = 0;
  const take = (test) => {
    while (at < lines.length && test(lines[at])) at++;
    return lines.slice(from, at);
  };
  while (at < lines.length) {
    const line = lines[from = at++];
    if (!line.trim()) continue;
    const { fence, language, level, heading, rule, quote, marker } = BLOCK.exec(line)?.groups ?? {};
    let draw;
    if (fence) {
      const [, ...body] = take((text) => text.trim() !== fence)
        .map((text) => text.slice(Math.min(indent(text), indent(line))));
      at++;
      draw = () => code(language, body.join("\n"));
    } else if (level) {
      draw = () => el(`h${Math.min(level.length + 2, 6)}`, inline(heading));
    } else if (rule) {
      draw = () => el("hr");
    } else if (quote && depth < DEEPEST) {
      const inner = take((text) => /^\s*>/.test(text)).map((text) => text.replace(BLOCK, ""));
      draw = () => fill(el("blockquote"), inner, depth + 1);
    } else if (marker && depth < DEEPEST) {
      draw = list(line, marker, take, depth + 1);
    } else if (TABLE.test(lines[at])) {
      at++;
      const rows = take((text) => text.includes("|") && !BLOCK.test(text));
      draw = () => table(rows);
    } else {
      const text = take((text) => text.trim() && !BLOCK.test(text) && !TABLE.test(lines[at + 1]));
      draw = () => el("p", inline(text.join("\n")));
    }
    yield { source: lines.slice(from, at).join("\n"), draw };
  }
}

// Keeps the children drawn from the same source before.
function fill(parent, lines, depth = 0) {
  const old = [...parent.children];
  let i = 0;
  for (const { source, draw } of blocks(lines, depth)) {
    const before = old[i++];
    if (before?.source === source) continue;
    const node = Object.assign(draw(), { source });
    // Nested, it would hide text from the outermost.
    if (!depth) node.dir = "auto";
    if (before) before.replaceWith(node);
    else parent.append(node);
  }
  for (const rest of old.slice(i)) rest.remove();
  return parent;
}

export class Markdown {
  constructor(element = el("div")) {
    this.element = element;
    element.classList.add("markdown");
  }

  /** Takes the whole text so far, redraws the blocks that changed, and gives the element. */
  set(text) {
    return fill(this.element, text.split("\n"));
  }
}
