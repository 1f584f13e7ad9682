// ChatKit's widgets as elements. A hostile model may have made them: nothing becomes markup, styles
// are an allow-list, and no other host is asked.

import { el, image, onSubmit, setBusy } from "./dom.js";
import { Markdown } from "./markdown.js";

const DEEPEST = 50;
const SIZES = "3xs 2xs xs sm md lg xl 2xl 3xl 4xl 5xl".split(" ");
const CLASSES = ["italic", "lineThrough", "truncate"];
// ChatKit's names, and CSS's where those differ.
const STYLES = ("width height minWidth maxWidth gap padding margin flex textAlign " +
  "align=alignItems justify=justifyContent wrap=flexWrap weight=fontWeight fit=objectFit " +
  "theme=colorScheme radius=borderRadius").split(" ").map((pair) => pair.split("="));
// How many px one is; 0: it is a plain number.
const UNITS = { gap: 4, padding: 4, margin: 4, flex: 0 };
const KEYWORDS = {
  between: "space-between", medium: "500", semibold: "600", full: "500px",
};
// The colours of style.css. All of "surface-" are "raised".
const COLOURS = {
  primary: "text", secondary: "muted", tertiary: "muted", success: "success", info: "accent",
  warning: "warning", caution: "warning", danger: "danger", surface: "surface",
};
const ICONS = {
  calendar: "▦", check: "✓", "chevron-left": "‹", "chevron-right": "›", document: "▤",
  info: "ⓘ", plus: "+", search: "⌕", warning: "⚠",
};
// Keywords and lengths below 1000: no brackets, no url().
const VALUE = /^(?!.*(\d{4}|\de\d))[\w.%/ -]{1,40}$/i;
const COLOUR = /^(#[\da-f]{3,8}|[a-z]+|(rgb|hsl)a?\([\d\s.,%/]+\))$/i;

let ids = 0;
const newId = () => `widget-part-${++ids}`;
const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
// As a string, {"toString": 1} would throw.
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
  const { size = c.border, color } = Object(c.border);
  style.border = css(size) && `${css(size)} solid ${colour(color) || "var(--line)"}`;
  style.background = colour(c.background);
  style.setProperty("--tone", colour(c.color));
  const [font, radius] = [c.size, c.radius].map((name) => SIZES.indexOf(name));
  if (font >= 0 && !c.children) style.fontSize = `${0.5 + font / 8}rem`;
  if (radius >= 0) style.borderRadius = `${radius * 2}px`;
  classList.add(...CLASSES.filter((name) => c[name] === true));
}

function icon(name) {
  const sign = get(ICONS, name);
  return sign ? el("span.icon", { "aria-hidden": "true" }, `${sign}\uFE0E`) : "";
}

const FIELDS = "[data-name]:not(:disabled)";

// With a `name` like "submit", a field would hide the form's own property.
function field(c, kind, properties, ...children) {
  const { name, placeholder, pattern, disabled, required } = c;
  const node = el(kind, {
    placeholder, pattern, disabled, required, ...properties,
    "data-name": name,
    "aria-label": c.ariaLabel ?? c.label ?? placeholder ?? name,
    onchange: () => node.reportValidity() && send(c.onChangeAction, node, false),
  }, children);
  return node;
}

// "todo.title" goes to payload.todo.title; what is there stays.
function filled(payload, fields) {
  if (!fields.length || !isObject(payload ?? {})) return payload ?? null;
  const all = structuredClone(payload ?? {});
  for (const node of fields) {
    const path = node.dataset.name.split(".");
    const last = path.pop();
    let place = all;
    for (const part of path) place = isObject(place) && (get(place, part) ?? (place[part] = {}));
    const value = (node.querySelector(":checked") ?? node).value ?? "";
    if (!isObject(place) || Object.hasOwn(place, last)) continue;
    place[last] = node.type === "checkbox" ? node.checked : value;
  }
  return all;
}

async function send(action, from, rests = true) {
  const widget = from.closest(".widget");
  if (widget.ariaBusy || !isObject(action) || !text(action.type)) return;
  const fields = from.closest("form")?.querySelectorAll(FIELDS) ?? [from];
  const payload = filled(action.payload, [...fields].filter((one) => one.matches(FIELDS)));
  const loading = action.loadingBehavior ?? "auto";
  const waits = loading === "auto" ? rests : loading !== "none";
  setBusy(widget, waits);
  try {
    await widget.act({ ...action, payload });
  } catch {
    // Whoever acts tells of it.
  }
  if (waits) setBusy(widget, false);
}

const drawAll = (c, depth) => [c.children ?? []].flat().map((child) => draw(child, depth + 1));

// Also draws what is unknown.
function box(c, depth, tag = "div", properties = {}) {
  const kind = c.direction === "row" || /(Row|Item)$/.test(text(c.type)) ? "row" : "col";
  const texts = [c.value, c.label, c.title, c.text].map(text).filter(Boolean);
  return el(`${tag}.${kind}`, properties, texts.map((one) => el("p", one)), drawAll(c, depth));
}

// The button's own action stands for the form's.
const form = (c, depth) => box(c, depth, "form", {
  onsubmit: onSubmit((node, by) => send(by?.action ?? c.onSubmitAction, node)),
});

const shown = (kind) => (c) => el(kind, text(c.value ?? c.label));

const status = ({ status: given }) =>
  isObject(given) ? el("p.status", icon(given.icon), " ", text(given.text)) : "";

const check = (input, label) => el("label.row", input, text(label));

// What takes a stream of text has `grow(delta)`.
const DRAW = {
  Badge: shown("span.badge"),
  Caption: shown("p.caption"),
  Title: shown("h3"),
  Divider: () => el("hr"),
  Spacer: () => el("div.spacer"),
  Icon: (c) => el("span", icon(c.name)),
  Image: (c) => el("span.image", image(text(c.src), text(c.alt))),
  Label: (c) => el("label", { "data-for": c.fieldName }, text(c.value)),
  Form: form,

  Text(c) {
    if (isObject(c.editable)) {
      const type = text(c.value).includes("\n") ? "Textarea" : "Input";
      return draw({ ...c.editable, type, defaultValue: c.value });
    }
    const node = shown("p")(c);
    return Object.assign(node, { grow: (delta) => node.append(delta) });
  },

  Markdown(c) {
    const view = new Markdown();
    let value = text(c.value);
    return Object.assign(view.set(value), { grow: (delta) => view.set((value += delta)) });
  },

  Card(c, depth) {
    const shape = c.asForm === true ? form : box;
    const body = shape({ children: c.children }, depth);
    const foot = ["cancel", "confirm"].filter((key) => isObject(c[key])).map((key) => draw({
      ...c[key],
      type: "Button",
      onClickAction: c[key].action,
      submit: shape === form && key === "confirm",
      style: key === "confirm" ? "primary" : "secondary",
    }));
    if (foot.length) body.append(el("div.row.foot", foot));
    return el("section.card", status(c), body);
  },

  ListView(c, depth) {
    const limit = c.limit === "auto" ? 5 : Number(text(c.limit)) || Infinity;
    const rows = drawAll(c, depth).map((row) => el("li", row));
    const rest = rows.splice(limit);
    const more = el("details", el("summary", "Show more"), el("ul", rest));
    return el("section.list", status(c), el("ul", rows), rest.length ? more : "");
  },

  Button(c) {
    const submits = c.submit === true;
    const name = text(c.label ?? c.iconStart ?? c.iconEnd);
    const content = [icon(c.iconStart), text(c.label), icon(c.iconEnd)].filter(Boolean);
    const node = el("button", {
      type: submits ? "submit" : "button",
      class: (c.style ? c.style === "primary" : submits) && "primary",
      "aria-label": name,
      disabled: c.disabled,
      onclick: () => (submits && node.form) || send(c.onClickAction, node),
    }, content.length ? content : name);
    return Object.assign(node, { action: c.onClickAction });
  },

  Input(c) {
    const type = only(/^(number|email|password|tel|url)$/, c.inputType) || "text";
    return field(c, "input", { type, value: c.defaultValue });
  },

  Textarea: (c) => field(c, "textarea", { rows: c.rows }, text(c.defaultValue)),

  DatePicker(c) {
    const [value, min, max] = [c.defaultValue, c.min, c.max].map((day) => text(day).slice(0, 10));
    return field(c, "input", { type: "date", value, min, max });
  },

  Checkbox: (c) =>
    check(field(c, "input", { type: "checkbox", checked: c.defaultChecked }), c.label),

  RadioGroup(c) {
    const name = newId();
    return field(c, "fieldset.row", {}, list(c.options).map(({ value, label, disabled }) => {
      const state = { checked: value === c.defaultValue, disabled, required: c.required };
      return check(el("input", { type: "radio", name, value: text(value), ...state }), label);
    }));
  },

  Select(c) {
    const none = { value: "", selected: true, disabled: c.clearable !== true };
    const options = list(c.options).map(({ value, label, disabled }) => {
      const state = { disabled, selected: value === c.defaultValue };
      return el("option", { value: text(value), ...state }, text(label));
    });
    return field(c, "select", {}, el("option", none, text(c.placeholder)), options);
  },

  Chart(c) {
    const axis = isObject(c.xAxis) ? c.xAxis : { dataKey: c.xAxis };
    const columns = [axis, ...list(c.series)];
    const names = columns.map(({ label, dataKey }) => text(label) || text(dataKey));
    const cell = (row) => ({ dataKey, labels }, index) => {
      const value = get(row, dataKey);
      return el(index ? "td" : "th", text(get(Object(labels), value) ?? value));
    };
    return el("table",
      el("caption", `${names.slice(1).join(", ")} by ${names[0]}`),
      el("thead", el("tr", names.map((name) => el("th", name)))),
      el("tbody", list(c.data).map((row) => el("tr", columns.map(cell(row))))));
  },
};

function draw(component, depth = 1) {
  if (depth > DEEPEST) return el("p", "…");
  const rest = Array.isArray(component) ? { children: component } : { value: component };
  const c = isObject(component) ? component : rest;
  const { id, type, onClickAction: action } = c;
  const node = (get(DRAW, type) ?? box)(c, depth);
  dress(node, c);
  node.dataset.depth = depth;
  node.dataset.key = [c.key, c.name ?? id ?? action?.type].map(text);
  if (text(id)) node.dataset.id = id;
  if (isObject(action) && type !== "Button") makeClickable(node, action);
  return node;
}

// A button over the whole, so that what is in it keeps its roles; its controls lie above.
function makeClickable(node, action) {
  const onclick = () => send(action, cover);
  const named = { "aria-labelledby": (node.id ||= newId()) };
  const cover = el("button.cover", { type: "button", onclick, ...named });
  node.classList.add("clickable");
  node.prepend(cover);
}

function bind(label) {
  const scope = label.closest("form, .widget");
  const target = scope.querySelector(`[data-name="${CSS.escape(label.dataset.for)}"]`);
  if (!target) return;
  label.htmlFor = target.id ||= newId();
  target.setAttribute("aria-labelledby", (label.id ||= newId()));
}

const controls = (widget) =>
  Map.groupBy(widget.querySelectorAll("button, details, input, select, textarea"), (node) => {
    const { key } = node.closest("[data-key]").dataset;
    return [node.tagName, key, node.type === "radio" && node.value].join();
  });

// What outlives a redraw: what was typed or opened, the focus and the caret.
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
  element = el("div.widget", { role: "group" });

  /** `act(action)`: a promise of its end. */
  constructor(root, act) {
    const oninput = ({ target }) => (target.dataset.touched = "");
    Object.assign(this.element, { act, oninput });
    this.setRoot(root);
  }

  setRoot(root) {
    this.redraw(() => this.element.replaceChildren(draw(root)));
  }

  setComponent(id, component) {
    const old = this.find(id);
    if (!old) return;
    const fresh = draw(component, Number(old.dataset.depth));
    fresh.dataset.id = id;
    this.redraw(() => old.replaceWith(fresh));
  }

  appendText(id, delta) {
    this.find(id)?.grow?.(text(delta));
  }

  find(id) {
    return this.element.querySelector(`[data-id="${CSS.escape(text(id))}"]`);
  }

  redraw(change) {
    const before = controls(this.element);
    const focused = document.activeElement;
    change();
    for (const label of this.element.querySelectorAll("[data-for]")) bind(label);
    const after = controls(this.element);
    for (const [key, nodes] of before) {
      nodes.forEach((old, index) => {
        const fresh = after.get(key)?.[index] ?? old;
        if (fresh !== old) inherit(old, fresh, old === focused);
      });
    }
  }
}
