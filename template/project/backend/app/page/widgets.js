// ChatKit's widgets as elements. What a widget holds may be a hostile model's: none of it becomes
// markup, styles are an allow-list, and nothing makes the browser ask another host.

import { el, image, onSubmit, setBusy } from "./dom.js";

const DEEPEST = 50;
const SIZES = "3xs 2xs xs sm md lg xl 2xl 3xl 4xl 5xl".split(" ");
const CLASSES = "solid soft outline ghost block italic lineThrough pill truncate".split(" ");
// ChatKit's names, and CSS's where those differ.
const STYLES = ("width height minWidth minHeight maxWidth maxHeight gap padding margin flex " +
  "textAlign align=alignItems justify=justifyContent wrap=flexWrap weight=fontWeight " +
  "fit=objectFit theme=colorScheme radius=borderRadius").split(" ").map((pair) => pair.split("="));
// How many px one is; 0: it is a plain number.
const UNITS = { gap: 4, padding: 4, margin: 4, flex: 0 };
const KEYWORDS = {
  between: "space-between", around: "space-around", evenly: "space-evenly",
  medium: "500", semibold: "600", full: "500px",
};
// The colours of style.css. All of "surface-" are "raised".
const COLOURS = {
  primary: "text", secondary: "muted", tertiary: "muted", success: "success", info: "accent",
  warning: "warning", caution: "warning", danger: "danger", discovery: "accent",
  surface: "surface",
};
const ICONS = {
  calendar: "▦", check: "✓", "chevron-left": "‹", "chevron-right": "›", document: "▤",
  info: "ⓘ", mail: "✉", plus: "+", search: "⌕", star: "★", user: "☺", warning: "⚠",
};
// Keywords and lengths below 1000: without brackets there is no url().
const VALUE = /^(?!.*(\d{4}|\de\d))[\w.%/ -]{1,40}$/i;
const COLOUR = /^(#[\da-f]{3,8}|[a-z]+|(rgb|hsl)a?\([\d\s.,%/]+\))$/i;

let ids = 0;
const newId = () => `widget-part-${++ids}`;
const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
// An object is no text: as a string {"toString": 1} would throw.
const text = (value) => (["string", "number"].includes(typeof value) ? String(value) : "");
const only = (pattern, value) => (pattern.test(text(value)) ? text(value) : "");
const list = (value) => (Array.isArray(value) ? value.filter(isObject) : []);
const get = (object, key) => (Object.hasOwn(object, text(key)) ? object[text(key)] : undefined);

const css = (value, unit = 1) => (unit && typeof value === "number"
  ? `${Math.min(value * unit, 999)}px`
  : get(KEYWORDS, value) ?? only(VALUE, value));

function sides(value, unit) {
  const { x = 0, y = 0, top = y, right = x, bottom = y, left = x } = value;
  return [top, right, bottom, left].map((side) => css(side, unit)).join(" ");
}

function colour(value) {
  if (isObject(value)) {
    const [light, dark] = [value.light, value.dark].map((one) => colour(text(one)));
    return light && dark && `light-dark(${light}, ${dark})`;
  }
  const ours = text(value).startsWith("surface-") ? "raised" : get(COLOURS, value);
  if (ours) return `var(--${ours})`;
  return CSS.supports("color", text(value)) ? only(COLOUR, value) : "";
}

// Every component may have every property.
function dress({ classList, style }, c) {
  const all = { width: c.size, height: c.size, ...c };
  for (const [name, property = name] of STYLES) {
    style[property] = (isObject(all[name]) ? sides : css)(all[name], UNITS[name]);
  }
  const { size, style: line, color } = isObject(c.border) ? c.border : { size: c.border };
  style.border = css(size)
    && `${css(size)} ${css(line) || "solid"} ${colour(color) || "var(--line)"}`;
  style.background = colour(c.background);
  style.setProperty("--tone", colour(c.color));
  const [font, radius] = [c.size, c.radius].map((name) => SIZES.indexOf(name));
  if (font >= 0 && !c.children) style.fontSize = `${0.5 + font / 8}rem`;
  if (radius >= 0) style.borderRadius = `${radius * 2}px`;
  classList.add(...CLASSES.filter((name) => c.variant === name || c[name] === true));
}

function icon(name) {
  const sign = get(ICONS, name);
  return sign ? el("span.icon", { "aria-hidden": "true" }, `${sign}\uFE0E`) : "";
}

const FIELDS = "[data-name]:not(:disabled)";

// A field's name is its data-name: a `name` like "submit" would hide the form's own property.
function field(w, c, kind, properties, ...children) {
  const { name, placeholder, pattern, disabled, required } = c;
  const node = el(kind, {
    placeholder, pattern, disabled, required, ...properties,
    "data-name": name,
    "aria-label": c.ariaLabel ?? c.label ?? placeholder ?? name,
    onchange: () => node.reportValidity() && w.send(c.onChangeAction, node, false),
  }, children);
  return node;
}

function valueOf(node) {
  if (node.type === "checkbox") return node.checked;
  return node.type === "fieldset" ? node.querySelector(":checked")?.value ?? "" : node.value;
}

// The payload with the values: "todo.title" goes to payload.todo.title; what is there stays.
function filled(payload, fields) {
  if (!fields.length || !isObject(payload ?? {})) return payload ?? null;
  const all = structuredClone(payload ?? {});
  for (const node of fields) {
    const path = node.dataset.name.split(".");
    const last = path.pop();
    let place = all;
    for (const part of path) place = isObject(place) && (get(place, part) ?? (place[part] = {}));
    if (isObject(place) && !Object.hasOwn(place, last)) place[last] = valueOf(node);
  }
  return all;
}

// Also for what is unknown: its texts and children.
function box(w, c, depth, tag = "div", properties = {}) {
  const kind = c.direction === "row" || /(Row|Item)$/.test(text(c.type)) ? "row" : "col";
  const texts = [c.value, c.label, c.title, c.text].map(text).filter(Boolean);
  return el(`${tag}.${kind}`, properties,
    texts.map((one) => el("p", one)), w.children(c, depth));
}

const form = (w, c, depth) => box(w, c, depth, "form", {
  onsubmit: onSubmit((node) => w.send(c.onSubmitAction, node)),
});

const shown = (kind) => (w, c) => el(kind, text(c.value ?? c.label));

const status = ({ status: given }) =>
  isObject(given) ? el("p.status", icon(given.icon), text(given.text)) : "";

const check = (input, label) => el("label.check", input, text(label));

// How each type is drawn. What takes a stream of text has `grow(delta)`.
const DRAW = {
  Badge: shown("span.badge.soft"),
  Caption: shown("p.caption"),
  Title: shown("h3"),
  Divider: () => el("hr"),
  Spacer: () => el("div.spacer"),
  Icon: (w, c) => el("span", icon(c.name)),
  Image: (w, c) => el("span.image", image(text(c.src), text(c.alt))),
  Label: (w, c) => el("label", { "data-for": c.fieldName }, text(c.value)),
  Form: form,

  Text(w, c) {
    if (isObject(c.editable)) {
      const type = text(c.value).includes("\n") ? "Textarea" : "Input";
      return w.draw({ ...c.editable, type, defaultValue: c.value });
    }
    const node = shown("p")(w, c);
    return Object.assign(node, { grow: (delta) => node.append(delta) });
  },

  Markdown(w, c) {
    const node = el("div");
    const view = w.markdown(node);
    let value = text(c.value);
    view.set(value);
    return Object.assign(node, { grow: (delta) => view.set((value += delta)) });
  },

  Card(w, c, depth) {
    const draw = c.asForm === true ? form : box;
    const body = draw(w, { children: c.children }, depth);
    const foot = ["cancel", "confirm"].filter((key) => isObject(c[key])).map((key) => w.draw({
      type: "Button",
      label: c[key].label,
      onClickAction: c[key].action,
      submit: draw === form && key === "confirm",
      style: key === "confirm" ? "primary" : "secondary",
    }));
    if (foot.length) body.append(el("div.row.foot", foot));
    return el("section.card", status(c), body);
  },

  ListView(w, c, depth) {
    const limit = c.limit === "auto" ? 5 : Number(only(/^[1-9]\d*$/, c.limit)) || Infinity;
    const rows = w.children(c, depth).map((row) => el("li", row));
    const rest = rows.splice(limit);
    const more = el("details", el("summary", "Show more"), el("ul", rest));
    return el("section.list",
      status(c), el("ul", rows), rest.length ? more : "");
  },

  Button(w, c) {
    const submit = c.submit === true;
    const name = text(c.label ?? c.iconStart ?? c.iconEnd);
    const content = [icon(c.iconStart), text(c.label), icon(c.iconEnd)].filter(Boolean);
    const onclick = (event) => {
      // A submit button's own action stands for the form's, if all fields are valid.
      if (submit && node.form && !(isObject(c.onClickAction) && node.form.checkValidity())) return;
      event.preventDefault();
      w.send(c.onClickAction, node);
    };
    const type = submit ? "submit" : "button";
    const look = (c.style ? c.style === "primary" : submit) && "primary";
    const node = el("button",
      { type, class: look, "aria-label": name, disabled: c.disabled, onclick },
      content.length ? content : name);
    return node;
  },

  Input(w, c) {
    const type = only(/^(number|email|password|tel|url)$/, c.inputType) || "text";
    return field(w, c, "input", { type, value: c.defaultValue });
  },

  Textarea: (w, c) => field(w, c, "textarea", { rows: c.rows }, text(c.defaultValue)),

  DatePicker(w, c) {
    const [value, min, max] = [c.defaultValue, c.min, c.max].map((day) => text(day).slice(0, 10));
    return field(w, c, "input", { type: "date", value, min, max });
  },

  Checkbox: (w, c) =>
    check(field(w, c, "input", { type: "checkbox", checked: c.defaultChecked }), c.label),

  RadioGroup(w, c) {
    const name = newId();
    const options = list(c.options).map(({ value, label, disabled }) => {
      const state = { checked: value === c.defaultValue, disabled, required: c.required };
      return check(el("input", { type: "radio", name, value: text(value), ...state }), label);
    });
    return field(w, c, c.direction === "col" ? "fieldset.col" : "fieldset.row", {}, options);
  },

  Select(w, c) {
    const none = { value: "", label: c.placeholder, disabled: c.clearable !== true };
    const all = [none, ...list(c.options)];
    const chosen = all.findLast(({ value }) => value === c.defaultValue) ?? none;
    return field(w, c, "select", {}, all.map((one) => {
      const state = { disabled: one.disabled, selected: one === chosen };
      return el("option", { value: text(one.value), ...state }, text(one.label));
    }));
  },

  Chart(w, c) {
    const axis = isObject(c.xAxis) ? c.xAxis : { dataKey: c.xAxis };
    const columns = [axis, ...list(c.series)];
    const names = columns.map(({ label, dataKey }) => text(label) || text(dataKey));
    const row = (cells, tag, scope) => el("tr", cells.map((cell, index) =>
      (index ? el(tag, text(cell)) : el("th", { scope }, text(cell)))));
    const cellsOf = (point) => columns.map(({ dataKey, labels }) => {
      const value = get(point, dataKey);
      return get(Object(labels), value) ?? value;
    });
    return el("table",
      el("caption", `${names.slice(1).join(", ")} by ${names[0]}`),
      row(names, "th", "col"),
      list(c.data).map((point) => row(cellsOf(point), "td", "row")));
  },
};

// After a redraw: what was typed or opened, the focus and the caret.
function inherit(old, fresh, focused) {
  const { open, value, checked, selectionStart, selectionEnd } = old;
  if (open) fresh.open = open;
  if ("touched" in old.dataset) {
    Object.assign(fresh, { value, checked });
    if (fresh.selectedIndex < 0) fresh.value = ""; // That option is gone.
    fresh.dataset.touched = "";
  }
  if (focused) fresh.focus({ preventScroll: true });
  if (focused && selectionEnd >= 0) fresh.setSelectionRange?.(selectionStart, selectionEnd);
}

export class Widget {
  /** `act(action)`: a promise of its end; `markdown(element)`: a view, to `set` a text in it. */
  constructor(root, act, markdown) {
    Object.assign(this, { act, markdown });
    this.element = el("div.widget", { role: "group" });
    this.element.oninput = ({ target }) => (target.dataset.touched = "");
    this.setRoot(root);
  }

  setRoot(root) {
    this.redraw(() => this.element.replaceChildren(this.draw(root)));
  }

  setComponent(id, component) {
    const old = this.find(id);
    if (!old) return;
    const fresh = this.draw(component, Number(old.dataset.depth));
    fresh.dataset.id = id;
    this.redraw(() => old.replaceWith(fresh));
  }

  appendText(id, delta) {
    this.find(id)?.grow?.(text(delta));
  }

  find(id) {
    return this.element.querySelector(`[data-id="${CSS.escape(text(id))}"]`);
  }

  draw(component, depth = 1) {
    if (depth > DEEPEST) return el("p", "…");
    const rest = Array.isArray(component) ? { children: component } : { value: component };
    const c = isObject(component) ? component : rest;
    const node = (get(DRAW, c.type) ?? box)(this, c, depth);
    dress(node, c);
    node.dataset.depth = depth;
    node.dataset.key = [c.key, c.name ?? c.id ?? c.onClickAction?.type].map(text);
    if (text(c.id)) node.dataset.id = c.id;
    if (isObject(c.onClickAction) && c.type !== "Button") this.makeClickable(node, c.onClickAction);
    return node;
  }

  // A button over the whole, so that what is in it keeps its roles; its controls lie above.
  makeClickable(node, action) {
    const onclick = () => this.send(action, cover);
    const name = (node.id ||= newId());
    const cover = el("button.cover", { type: "button", "aria-labelledby": name, onclick });
    node.classList.add("clickable");
    node.prepend(cover);
  }

  children(c, depth) {
    return [c.children ?? []].flat().map((child) => this.draw(child, depth + 1));
  }

  redraw(change) {
    const before = this.controls();
    const focused = document.activeElement;
    change();
    for (const label of this.element.querySelectorAll("[data-for]")) this.bind(label);
    const after = this.controls();
    for (const [key, nodes] of before) {
      nodes.forEach((old, index) => {
        const fresh = after.get(key)?.[index];
        if (fresh && fresh !== old) inherit(old, fresh, old === focused);
      });
    }
  }

  // The controls by what they are, which they keep across redraws.
  controls() {
    const all = this.element.querySelectorAll("button, details, input, select, textarea");
    return Map.groupBy(all, (node) => {
      const { key } = node.closest("[data-key]").dataset;
      return [node.tagName, key, node.type === "radio" && node.value].join();
    });
  }

  bind(label) {
    const scope = label.closest("form") ?? this.element;
    const target = scope.querySelector(`[data-name="${CSS.escape(label.dataset.for)}"]`);
    if (!target) return;
    label.htmlFor = target.id ||= newId();
    target.setAttribute("aria-labelledby", (label.id ||= newId()));
  }

  // Meanwhile the whole widget rests, unless that is not wanted.
  async send(action, from, rests = true) {
    if (this.element.ariaBusy || !isObject(action) || !text(action.type)) return;
    const fields = from.closest("form")?.querySelectorAll(FIELDS) ?? [from];
    const payload = filled(action.payload, [...fields].filter((one) => one.matches(FIELDS)));
    const loading = action.loadingBehavior ?? "auto";
    if (loading !== "auto") rests = loading !== "none";
    setBusy(this.element, rests);
    try {
      await this.act({ ...action, payload });
    } catch {
      // Whoever acts tells of it.
    }
    if (rests) setBusy(this.element, false);
  }
}
