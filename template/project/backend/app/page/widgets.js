// ChatKit's widgets as DOM nodes. What a widget holds may be a hostile model's: none of it becomes
// markup, styles are an allow-list, and nothing makes the browser ask another host.

const DEEPEST = 50;
const words = (names) => names.split(" ");
// "a b=c" as {a: "a", b: "c"}: ChatKit's names and what they are here.
const table = (names) => Object.fromEntries(words(names).map((name) => {
  const [theirs, ours = theirs] = name.split("=");
  return [theirs, ours];
}));
const STYLES = table("width height minWidth minHeight maxWidth maxHeight gap padding margin flex " +
  "aspectRatio textAlign wrap=flexWrap align=alignItems justify=justifyContent weight=fontWeight " +
  "theme=colorScheme fit=objectFit position=objectPosition radius=borderRadius " +
  "spacing=marginBlock");
const KEYWORDS = table("between=space-between around=space-around evenly=space-evenly " +
  "medium=500 semibold=600");
// All other names of "surface-" are "raised".
const TOKENS = table("success warning danger info surface prose=text primary=text emphasis=text " +
  "secondary=muted tertiary=muted caution=warning discovery=accent default=line subtle=line " +
  "strong=line");
const ICONS = table("check=✓ x=✕ close=✕ plus=+ info=ⓘ warning=⚠ calendar=▦ mail=✉ phone=✆ " +
  "search=⌕ star=★ sparkle=✦ document=▤ user=☺ profile=☺ settings=⚙ write=✎ dot=• external=↗ " +
  "chevron-left=‹ chevron-right=› arrow-left=← arrow-right=→");
const SIZES = words("3xs 2xs xs sm md lg xl 2xl 3xl 4xl 5xl");
const CLASSES = words("autoResize block flush frame italic lineThrough pill truncate");
const VARIANTS = words("solid soft outline ghost");
const FIELDS = "[data-name]:not([data-name=''], :disabled)";
// What a number counts in px; 0: as it is.
const UNITS = { flex: 0, aspectRatio: 0, gap: 4, padding: 4, margin: 4, spacing: 4 };
const SIDES = { Top: "y", Right: "x", Bottom: "y", Left: "x" };
// Keywords and lengths below 1000; without brackets there is no url().
const WORDS = /^(?!.*((?<![\d.])\d{4}|\de[\d-]))[\w.%/ -]{1,40}$/i;
const COLOUR = /^(#[\da-f]{3,8}|[a-z]+|(rgb|hsl|oklch)a?\([\d\s.,%/]+\))$/i;

let count = 0;
const newId = () => `widget-part-${++count}`;
const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
// An object is no text: as a string {"toString": 1} would throw.
const text = (value) => (["string", "number"].includes(typeof value) ? String(value) : "");
const only = (pattern, value) => (pattern.test(text(value)) ? text(value) : "");
const list = (value) => (Array.isArray(value) ? value.filter(isObject) : []);
const get = (object, key) => (Object.hasOwn(object, text(key)) ? object[text(key)] : undefined);

// make("p.big.red", { id: "x" }, "Hello")
function make(kind, properties, ...children) {
  const [tag, ...classes] = kind.split(".");
  const node = document.createElement(tag);
  node.classList.add(...classes);
  Object.assign(node, properties).append(...children);
  return node;
}

function colour(value) {
  if (isObject(value)) {
    const [light, dark] = [value.light, value.dark].map((one) => colour(text(one)));
    return light && dark && `light-dark(${light}, ${dark})`;
  }
  const token = get(TOKENS, value) ?? (text(value).startsWith("surface-") && "raised");
  if (token) return `var(--${token})`;
  const [, hue, shade] = /^([a-z]+)-(\d{2,3})$/.exec(text(value)) ?? [];
  if (!hue) return only(COLOUR, value);
  const mix = `${shade < 500 ? "white" : "black"} ${Math.abs(shade - 500) / 5.5}%`;
  return `color-mix(in oklab, ${hue}, ${mix})`;
}

function border(value) {
  const { size, style, color } = isObject(value) ? value : { size: value };
  if (!only(/^\d\d?$/, size)) return "";
  return `${size}px ${only(WORDS, style) || "solid"} ${colour(color) || "var(--line)"}`;
}

function spread(style, property, value, css) {
  if (!isObject(value) || "size" in value) style[property] = css(value);
  else for (const [side, axis] of Object.entries(SIDES)) {
    style[property + side] = css(value[side.toLowerCase()] ?? value[axis]);
  }
}

// Every component may have every property: their names do not collide.
function dress(node, c) {
  const { style } = node;
  const { size, minSize, maxSize } = c;
  const widths = { width: size, minWidth: minSize, maxWidth: maxSize };
  const all = { ...widths, height: size, minHeight: minSize, maxHeight: maxSize, ...c };
  for (const [name, property] of Object.entries(STYLES)) {
    const unit = UNITS[name] ?? 1;
    spread(style, property, all[name], (value) => (unit && typeof value === "number"
      ? `${Math.min(value * unit, 999)}px` : get(KEYWORDS, value) ?? only(WORDS, value)));
  }
  spread(style, "border", c.border, border);
  style.background = colour(c.background);
  style.setProperty("--tone", colour(c.color));
  style.setProperty("--most", only(/^\d+$/, c.maxLines ?? c.maxRows));
  style.setProperty("--least", only(/^\d\d?$/, c.minLines));
  if (SIZES.includes(size)) style.setProperty("--step", SIZES.indexOf(size));
  const radius = c.radius === "full" ? 500 : SIZES.indexOf(c.radius) * 2;
  if (radius >= 0) style.borderRadius = `${radius}px`;
  if (VARIANTS.includes(c.variant)) node.classList.add(c.variant);
  for (const name of CLASSES) node.classList.toggle(name, c[name] === true);
}

function icon(given) {
  const name = text(given).replace(/^\w+:/, "");
  const sign = get(ICONS, name) ?? get(ICONS, name.split("-")[0]);
  return make("span.icon", { ariaHidden: "true" }, sign ? `${sign}\uFE0E` : "");
}

const isValid = (form) =>
  [...form.querySelectorAll("input, select, textarea")].every((field) => field.reportValidity());

function watch(w, form, action) {
  form.noValidate = true;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (isValid(form)) w.send(action, form, "container");
  });
  return form;
}

// Without a `name`: one like "submit" would hide the form's own property.
function field(w, node, c) {
  node.dataset.name = text(c.name);
  node.ariaLabel = text(c.ariaLabel ?? c.label ?? c.placeholder ?? c.name);
  node.autocomplete = text(c.autoComplete) || "off";
  for (const name of ["disabled", "required"]) node[name] = c[name] === true;
  for (const name of ["defaultValue", "max", "min", "pattern", "placeholder", "rows"]) {
    const value = text(c[name]);
    if (value) node[name] = node.type === "date" ? value.slice(0, 10) : value;
  }
  node.addEventListener("change", () => {
    if (isObject(c.onChangeAction) && node.reportValidity()) w.send(c.onChangeAction, node, "none");
  });
  return node;
}

function valueOf(node) {
  if (node.type === "checkbox") return node.checked;
  return node.type === "fieldset" ? node.querySelector(":checked")?.value ?? "" : node.value;
}

// ChatKit's rules: "todo.title" goes to payload.todo.title; what is there already stays.
function fill(payload, fields) {
  if (!fields.length || !isObject(payload ?? {})) return payload ?? null;
  const filled = structuredClone(payload ?? {});
  for (const node of fields) {
    const path = node.dataset.name.split(".");
    const last = path.pop();
    const step = (at, part) => isObject(at) && (get(at, part) ?? (at[part] = {}));
    const place = path.reduce(step, filled);
    if (isObject(place) && !Object.hasOwn(place, last)) place[last] = valueOf(node);
    else console.warn(`Left out, as the payload has it already: ${node.dataset.name}`);
  }
  return filled;
}

// How to draw each type: (widget, component, depth) => node.

const shown = (kind) => (w, c) => make(kind, {}, text(c.value ?? c.label));

// Also for what is unknown: its texts and children.
function box(w, c, depth, tag = "div") {
  const kind = c.direction === "row" || /(Row|Item)$/.test(text(c.type)) ? "row" : "col";
  const texts = [c.value, c.label, c.title, c.text].map(text).filter(Boolean);
  const lines = texts.map((one) => make("p", {}, one));
  return make(`${tag}.${kind}`, {}, ...lines, ...w.children(c, depth));
}

const input = (tag, given) => (w, c) => {
  const type = given ?? (only(/^(number|email|password|tel|url)$/, c.inputType) || "text");
  return field(w, make(`${tag}.field`, tag === "input" ? { type } : {}), c);
};

const DRAW = {
  Badge: shown("span.badge.tone"),
  Caption: shown("p.caption"),
  Title: shown("h3"),
  Input: input("input"),
  Textarea: input("textarea"),
  DatePicker: input("input", "date"),
  Icon: (w, c) => icon(c.name),
  Divider: () => make("hr"),
  Spacer: () => make("div.spacer"),
  Form: (w, c, depth) => watch(w, box(w, c, depth, "form"), c.onSubmitAction),
  ListViewItem: (w, c, depth) => Object.assign(box(w, c, depth), { role: "listitem" }),

  Text(w, c) {
    if (!isObject(c.editable)) return shown("p.text")(w, c);
    const tag = Number(text(c.minLines)) > 1 || text(c.value).includes("\n") ? "textarea" : "input";
    return input(tag, "text")(w, { ...c.editable, defaultValue: c.value });
  },

  Markdown(w, c) {
    const node = make("div");
    const markdown = { view: w.markdown(node), value: text(c.value) };
    markdown.view.set(markdown.value);
    w.views.set(node, markdown);
    return node;
  },

  Label(w, c) {
    const node = shown("label.label")(w, c);
    node.dataset.for = text(c.fieldName);
    return node;
  },

  Card(w, c, depth) {
    const form = c.asForm === true;
    const body = box(w, { children: c.children }, depth, form ? "form" : "div");
    const foot = ["cancel", "confirm"].filter((key) => isObject(c[key])).map((key) => w.draw({
      type: "Button", label: c[key].label, onClickAction: c[key].action,
      submit: form && key === "confirm", style: key === "confirm" ? "primary" : "secondary",
    }, depth));
    if (foot.length) body.append(make("div.row.foot", {}, ...foot));
    if (form) watch(w, body);
    return make("section.card", {}, status(c), body);
  },

  ListView(w, c, depth) {
    const rows = w.children(c, depth).map((row) => (row.role ? row : make("div", {}, row)));
    const limit = c.limit === "auto" ? 5 : Number(only(/^[1-9]\d*$/, c.limit)) || Infinity;
    rows.forEach((row, at) => {
      row.role = "listitem";
      row.hidden = !w.expanded && at >= limit;
    });
    const items = make("div.list", { role: "list" }, ...rows);
    const more = make("button.control.tone", { type: "button" }, "Show more");
    more.hidden = !rows.at(-1)?.hidden;
    more.addEventListener("click", () => {
      w.expanded = more.hidden = true;
      const rest = [...items.children].filter((row) => row.hidden);
      for (const row of rest) row.hidden = false;
      rest[0].tabIndex = -1;
      rest[0].focus();
    });
    return make("section", {}, status(c), items, more);
  },

  Button(w, c) {
    const [start, end] = [icon(c.iconStart), icon(c.iconEnd)];
    const ariaLabel = text(c.label) || text(c.iconStart ?? c.iconEnd).replace(/^\w+:/, "");
    const label = c.label || !(start.textContent + end.textContent) ? ariaLabel : "";
    const [type, style] = c.submit === true ? ["submit", "primary"] : ["button"];
    const node = make("button.control.tone", { ariaLabel, type }, start, label, end);
    node.disabled = c.disabled === true;
    if ((c.style ?? style) === "primary") {
      node.classList.add("primary", VARIANTS.includes(c.variant) ? c.variant : "solid");
    }
    node.addEventListener("click", (event) => {
      const form = c.submit === true && node.form;
      // A submit button's own action stands for the form's, like HTML's `formaction`.
      if (form && !isObject(c.onClickAction)) return;
      event.preventDefault();
      if (form && !isValid(form)) return;
      w.send(c.onClickAction, node, node.closest(".foot") ? "container" : "self");
    });
    return node;
  },

  Image(w, c) {
    const alt = text(c.alt);
    const url = text(c.src) && URL.parse(text(c.src), document.baseURI);
    if (url?.origin === location.origin || /^data:image\//i.test(url?.href)) {
      return make("span.image", {}, make("img", { src: url.href, alt }));
    }
    if (!/^https?:$/.test(url?.protocol)) return make("p", {}, alt);
    const link = { href: url.href, target: "_blank", rel: "noopener noreferrer" };
    return make("a", link, `${alt || "Image"} (${url.host})`);
  },

  Checkbox(w, c) {
    const node = make("input", { type: "checkbox", defaultChecked: c.defaultChecked === true });
    return make("label.check", {}, field(w, node, c), text(c.label));
  },

  RadioGroup(w, c) {
    const name = newId();
    const options = list(c.options).map(({ value, label, disabled }) => {
      const radio = make("input", {
        type: "radio", name, value: text(value), defaultChecked: value === c.defaultValue,
        disabled: disabled === true, required: c.required === true,
      });
      return make("label.check", {}, radio, text(label));
    });
    const kind = c.direction === "col" ? "col" : "row";
    return field(w, make(`fieldset.${kind}`, {}, ...options), c);
  },

  Select(w, c) {
    const given = list(c.options).filter(({ value }) => value === c.defaultValue);
    const none = { value: "", label: c.placeholder, disabled: c.clearable !== true };
    const options = [none, ...list(c.options)].map((one) => make("option", {
      value: text(one.value), disabled: one.disabled === true,
      defaultSelected: one === (given[0] ?? none),
    }, [one.label, one.description].map(text).filter(Boolean).join(" – ")));
    return field(w, make("select.field", {}, ...options), c);
  },

  Chart(w, c) {
    const axis = isObject(c.xAxis) ? c.xAxis : { dataKey: c.xAxis };
    const [rows, series] = [list(c.data), list(c.series)];
    const size = (row, { dataKey }) => Math.abs(Number(text(get(row, dataKey)))) || 0;
    const sizes = rows.flatMap((row) => series.map((one) => size(row, one)));
    const most = sizes.reduce((a, b) => Math.max(a, b), 0) || 1;
    const head = (scope, label) => make("th", { scope }, text(label));
    const cell = (row, one) => {
      const value = get(row, one.dataKey);
      const node = make("td", {}, Number.isFinite(value) ? value.toLocaleString() : text(value));
      node.style.setProperty("--share", size(row, one) / most);
      node.style.setProperty("--tone", colour(one.color));
      return node;
    };
    const line = (row) => {
      const x = get(row, axis.dataKey);
      const cells = series.map((one) => cell(row, one));
      return make("tr", {}, head("row", get(axis.labels ?? {}, x) ?? x), ...cells);
    };
    const [x, ...names] = [axis, ...series].map((one) => text(one.label) || text(one.dataKey));
    return make("div.chart", {}, make("table", {},
      make("caption", {}, `${names.join(", ")} by ${x}`),
      make("thead", {}, make("tr", {}, ...[x, ...names].map((name) => head("col", name)))),
      make("tbody", {}, ...rows.map(line))));
  },
};

const status = ({ status: s }) => (isObject(s) && text(s.text)
  ? make("p.status", {}, icon(s.icon), text(s.text)) : "");

// A button over the whole, so that what is in it keeps its roles; its controls lie above.
function makeClickable(w, node, c) {
  const button = make("button.cover", { type: "button" });
  button.setAttribute("aria-labelledby", (node.id ||= newId()));
  button.addEventListener("click", () => w.send(c.onClickAction, button, "self"));
  node.classList.add("clickable");
  node.prepend(button);
}

function setBusy(node, busy) {
  node.ariaBusy = busy ? "true" : null;
  node["disabled" in node ? "disabled" : "inert"] = busy;
}

/** A drawn widget. */
export class Widget {
  /**
   * @param {object} root the widget's root component as JSON
   * @param {(action: {type: string, payload: any, handler: "server"|"client",
   *   loadingBehavior: string, streaming: boolean}) => Promise<void>} act takes an action with
   *   the form's values in its payload; the promise ends when the action has been handled
   * @param {(target: HTMLElement) => {set(text: string): void}} markdown makes a Markdown view
   */
  constructor(root, act, markdown) {
    // `views`: the Markdown of a node; `heirs`: what a redraw has put in a control's place.
    Object.assign(this, { act, markdown, views: new WeakMap(), heirs: new WeakMap() });
    this.element = make("div.widget");
    this.element.addEventListener("input", ({ target }) => { target.dataset.touched = ""; });
    this.setRoot(root);
  }

  /** Replaces everything but what a person has entered. */
  setRoot(root) {
    this.redraw(() => this.element.replaceChildren(this.draw(root, 1)));
  }

  /** Replaces the component with this id. */
  setComponent(id, component) {
    const old = this.find(id);
    if (!old) return;
    this.redraw(() => {
      const fresh = this.draw(component, Number(old.dataset.depth));
      fresh.dataset.id = id;
      fresh.hidden = old.hidden;
      old.replaceWith(fresh);
    });
  }

  /** Adds to the value of the Text or Markdown with this id. */
  appendText(id, delta, done) {
    const node = this.find(id);
    const markdown = this.views.get(node);
    if (markdown) markdown.view.set(markdown.value += text(delta));
    else if (node?.matches(".text")) node.lastChild.appendData(text(delta));
    if (done) node?.removeAttribute("aria-busy");
  }

  find(id) {
    return this.element.querySelector(`[data-id="${CSS.escape(text(id))}"]`);
  }

  draw(component, depth) {
    if (depth > DEEPEST) return make("p", {}, "…");
    const rest = Array.isArray(component) ? { children: component } : { value: component };
    const c = isObject(component) ? component : rest;
    const node = (get(DRAW, c.type) ?? box)(this, c, depth);
    dress(node, c);
    node.dataset.depth = depth;
    node.dataset.key = `${text(c.key)} ${text(c.id ?? c.onClickAction?.type)}`;
    if (text(c.id)) node.dataset.id = c.id;
    if (c.streaming === true && !("disabled" in node)) node.ariaBusy = "true";
    if (isObject(c.onClickAction) && c.type !== "Button") makeClickable(this, node, c);
    return node;
  }

  children(c, depth) {
    const all = [c.children].flat().filter((child) => (child ?? "") !== "");
    return all.map((child) => this.draw(child, depth + 1));
  }

  // Each control by what it keeps across redraws; a number tells equals apart.
  controls() {
    const seen = {};
    const all = this.element.querySelectorAll("a, button, fieldset, form, input, select, textarea");
    return new Map([...all].map((node) => {
      const { key } = node.closest("[data-key]").dataset;
      const name = node.closest("[data-name]")?.dataset.name;
      const known = [node.tagName, key, name, node.type === "radio" && node.value].join();
      seen[known] = (seen[known] ?? 0) + 1;
      return [`${known} ${seen[known]}`, node];
    }));
  }

  redraw(change) {
    const before = this.controls();
    const focused = document.activeElement;
    change();
    for (const label of this.element.querySelectorAll("label[data-for]")) {
      const scope = label.closest("form") ?? this.element;
      const target = scope.querySelector(`[data-name="${CSS.escape(label.dataset.for)}"]`);
      target?.setAttribute("aria-labelledby", (label.id ||= newId()));
      if (target) label.htmlFor = target.id ||= newId();
    }
    const after = this.controls();
    for (const [key, old] of before) {
      const fresh = after.get(key);
      if (fresh && fresh !== old) this.replace(old, fresh, old === focused);
    }
  }

  replace(old, fresh, focused) {
    this.heirs.set(old, fresh);
    if (old.ariaBusy && !fresh.disabled) setBusy(fresh, true);
    if ("touched" in old.dataset) {
      const { value } = fresh;
      Object.assign(fresh, { value: old.value, checked: old.checked });
      if (fresh.selectedIndex < 0) fresh.value = value; // That option is gone.
      fresh.dataset.touched = "";
    }
    if (!focused) return;
    fresh.focus({ preventScroll: true });
    if (old.selectionEnd >= 0) fresh.setSelectionRange?.(old.selectionStart, old.selectionEnd);
  }

  latest(node) {
    return this.heirs.has(node) ? this.latest(this.heirs.get(node)) : node;
  }

  async send(action, from, auto) {
    if (!isObject(action) || !text(action.type) || this.element.inert || from.ariaBusy) return;
    const form = from.closest("form");
    const fields = form ? [...form.querySelectorAll(FIELDS)] : [from];
    const payload = fill(action.payload, fields.filter((one) => one.matches(FIELDS)));
    const defaults = { handler: "server", loadingBehavior: "auto", streaming: true };
    const sent = { ...defaults, ...action, payload };
    const loading = sent.loadingBehavior === "auto" ? auto : sent.loadingBehavior;
    const part = get({ self: from, container: this.element }, loading);
    const focused = document.activeElement;
    if (part) setBusy(part, true);
    // Whoever acts tells of a failure; here the part only has to work again.
    try { await this.act(sent); } catch { /* see above */ }
    if (part && this.latest(part).ariaBusy) setBusy(this.latest(part), false);
    if (document.activeElement === document.body && this.element.contains(this.latest(focused))) {
      this.latest(focused).focus({ preventScroll: true });
    }
  }
}
