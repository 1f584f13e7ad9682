// ChatKit's widgets as elements. What a widget holds may be a hostile model's: none of it becomes
// markup, styles are an allow-list, and nothing makes the browser ask another host.

import { button, el, image } from "./dom.js";

const DEEPEST = 50;
const SIZES = "3xs 2xs xs sm md lg xl 2xl 3xl 4xl 5xl".split(" ");
const CLASSES = "solid soft outline ghost block italic lineThrough pill truncate".split(" ");
const KEYWORDS = {
  between: "space-between", around: "space-around", evenly: "space-evenly",
  medium: "500", semibold: "600",
};
// ChatKit's colours, by their names in style.css. All of "surface-" are "raised".
const COLOURS = {
  primary: "text", emphasis: "text", prose: "text", secondary: "muted", tertiary: "muted",
  success: "success", warning: "warning", caution: "warning", danger: "danger", info: "info",
  discovery: "accent", surface: "surface", default: "line", subtle: "line", strong: "line",
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

const css = (value, unit = 1) => (typeof value === "number"
  ? `${Math.min(value * unit, 999)}px`
  : get(KEYWORDS, value) ?? only(VALUE, value));

// In steps of 4 px, for all sides or by side.
function spacing(value) {
  if (!isObject(value)) return css(value, 4);
  const { x = 0, y = 0, top = y, right = x, bottom = y, left = x } = value;
  return [top, right, bottom, left].map((side) => css(side, 4)).join(" ");
}

function colour(value) {
  if (isObject(value)) {
    const [light, dark] = [value.light, value.dark].map((one) => colour(text(one)));
    return light && dark && `light-dark(${light}, ${dark})`;
  }
  const ours = text(value).startsWith("surface-") ? "raised" : get(COLOURS, value);
  return ours ? `var(--${ours})` : only(COLOUR, value);
}

function border(value) {
  const { size, style, color } = isObject(value) ? value : { size: value };
  return css(size) && `${css(size)} ${css(style) || "solid"} ${colour(color) || "var(--line)"}`;
}

// Every component may have every property.
function dress({ classList, style }, c) {
  const { align, fit, flex, justify, radius, size, minSize, maxSize, theme, weight, wrap } = c;
  const { width = size, minWidth = minSize, maxWidth = maxSize } = c;
  const { height = size, minHeight = minSize, maxHeight = maxSize, textAlign } = c;
  const plain = {
    width, height, minWidth, minHeight, maxWidth, maxHeight, textAlign, flex: text(flex),
    alignItems: align, justifyContent: justify, flexWrap: wrap, fontWeight: weight,
    objectFit: fit, colorScheme: theme, borderRadius: radius === "full" ? 500 : radius,
  };
  for (const [name, value] of Object.entries(plain)) style[name] = css(value);
  for (const name of ["gap", "padding", "margin"]) style[name] = spacing(c[name]);
  style.border = border(c.border);
  style.background = colour(c.background);
  style.setProperty("--tone", colour(c.color));
  style.setProperty("--most", only(/^\d+$/, c.maxLines));
  if (SIZES.includes(size)) style.setProperty("--step", SIZES.indexOf(size));
  if (SIZES.includes(radius)) style.borderRadius = `${SIZES.indexOf(radius) * 2}px`;
  const classes = CLASSES.filter((name) => c.variant === name || c[name] === true);
  classList.add(...classes);
}

function icon(name) {
  const sign = get(ICONS, name);
  return sign ? el("span", { class: "icon", "aria-hidden": "true" }, `${sign}\uFE0E`) : "";
}

const NAMED = "[data-name]:not(:disabled)";

// A field's name is its data-name: a `name` like "submit" would hide the form's own property.
function field(w, c, tag, properties, ...children) {
  const onchange = ({ currentTarget: node }) =>
    node.reportValidity() && w.send(c.onChangeAction, node, "none");
  return el(tag, {
    "data-name": c.name,
    "aria-label": c.ariaLabel ?? c.label ?? c.placeholder ?? c.name,
    placeholder: c.placeholder,
    pattern: c.pattern,
    disabled: c.disabled,
    required: c.required,
    onchange,
    ...properties,
  }, ...children);
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
    const step = (at, part) => isObject(at) && (get(at, part) ?? (at[part] = {}));
    const place = path.reduce(step, all);
    if (isObject(place) && !Object.hasOwn(place, last)) place[last] = valueOf(node);
  }
  return all;
}

// How each type is drawn: (widget, component, depth) => element.

const shown = (tag, name) => (w, c) => el(tag, { class: name }, text(c.value ?? c.label));

// Also for what is unknown: its texts and children.
function box(w, c, depth, tag = "div") {
  const kind = c.direction === "row" || /(Row|Item)$/.test(text(c.type)) ? "row" : "col";
  const texts = [c.value, c.label, c.title, c.text].map(text).filter(Boolean);
  return el(tag, { class: kind }, texts.map((one) => el("p", {}, one)), w.children(c, depth));
}

function form(w, c, depth) {
  const node = box(w, c, depth, "form");
  node.onsubmit = (event) => {
    event.preventDefault();
    w.send(c.onSubmitAction, node, "container");
  };
  return node;
}

const status = ({ status: given }) =>
  isObject(given) ? el("p", { class: "status" }, icon(given.icon), text(given.text)) : "";

const DRAW = {
  Badge: shown("span", "badge soft"),
  Caption: shown("p", "caption"),
  Title: shown("h3"),
  Divider: () => el("hr"),
  Spacer: () => el("div", { class: "spacer" }),
  Icon: (w, c) => el("span", {}, icon(c.name)),
  Image: (w, c) => el("span", { class: "image" }, image(text(c.src), text(c.alt))),
  Form: form,

  Text(w, c) {
    if (isObject(c.editable)) {
      const type = text(c.value).includes("\n") ? "Textarea" : "Input";
      return w.draw({ ...c.editable, type, defaultValue: c.value });
    }
    const node = shown("p")(w, c);
    w.streams.set(node, (delta) => node.lastChild.appendData(delta));
    return node;
  },

  Markdown(w, c) {
    const node = el("div");
    const view = w.markdown(node);
    let value = text(c.value);
    view.set(value);
    w.streams.set(node, (delta) => view.set((value += delta)));
    return node;
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
    if (foot.length) body.append(el("div", { class: "row foot" }, foot));
    return el("section", { class: "card" }, status(c), body);
  },

  ListView(w, c, depth) {
    const limit = c.limit === "auto" ? 5 : Number(only(/^[1-9]\d*$/, c.limit)) || Infinity;
    const rows = w.children(c, depth).map((row) => el("li", {}, row));
    if (!w.expanded) for (const row of rows.slice(limit)) row.hidden = true;
    const more = button("Show more", () => {
      w.expanded = true;
      for (const row of rows) row.hidden = false;
      rows[limit].tabIndex = -1;
      rows[limit].focus();
      more.remove();
    });
    const all = el("ul", { class: "list" }, rows);
    return el("section", {}, status(c), all, rows.at(-1)?.hidden ? more : "");
  },

  Button(w, c) {
    const submit = c.submit === true;
    const name = text(c.label) || text(c.iconStart ?? c.iconEnd);
    const content = [icon(c.iconStart), text(c.label), icon(c.iconEnd)].filter(Boolean);
    const onclick = (event) => {
      // A submit button's own action stands for the form's, if all fields are valid.
      if (submit && node.form && !(isObject(c.onClickAction) && node.form.checkValidity())) return;
      event.preventDefault();
      w.send(c.onClickAction, node, node.closest(".foot") ? "container" : "self");
    };
    const node = button(content.length ? content : name, onclick, {
      type: submit ? "submit" : "button",
      class: (c.style ? c.style === "primary" : submit) && "primary",
      "aria-label": name,
      disabled: c.disabled,
    });
    return node;
  },

  Label: (w, c) => el("label", { "data-for": c.fieldName }, text(c.value)),

  Input(w, c) {
    const type = only(/^(number|email|password|tel|url)$/, c.inputType) || "text";
    return field(w, c, "input", { type, value: c.defaultValue });
  },

  Textarea: (w, c) => field(w, c, "textarea", { rows: c.rows }, text(c.defaultValue)),

  DatePicker(w, c) {
    const [value, min, max] = [c.defaultValue, c.min, c.max].map((day) => text(day).slice(0, 10));
    return field(w, c, "input", { type: "date", value, min, max });
  },

  Checkbox(w, c) {
    const node = field(w, c, "input", { type: "checkbox", checked: c.defaultChecked });
    return el("label", { class: "check" }, node, text(c.label));
  },

  RadioGroup(w, c) {
    const name = newId();
    const options = list(c.options).map(({ value, label, disabled }) => {
      const state = { checked: value === c.defaultValue, disabled, required: c.required };
      const radio = el("input", { type: "radio", name, value: text(value), ...state });
      return el("label", { class: "check" }, radio, text(label));
    });
    return field(w, c, "fieldset", { class: c.direction === "col" ? "col" : "row" }, options);
  },

  Select(w, c) {
    const none = { value: "", label: c.placeholder, disabled: c.clearable !== true };
    const chosen = list(c.options).find(({ value }) => value === c.defaultValue) ?? none;
    const options = [none, ...list(c.options)].map((one) => {
      const state = { disabled: one.disabled, selected: one === chosen };
      return el("option", { value: text(one.value), ...state }, text(one.label));
    });
    return field(w, c, "select", {}, options);
  },

  Chart(w, c) {
    const axis = isObject(c.xAxis) ? c.xAxis : { dataKey: c.xAxis };
    const series = list(c.series);
    const [x, ...names] = [axis, ...series].map((one) => text(one.label) || text(one.dataKey));
    const rows = list(c.data).map((row) => {
      const at = get(row, axis.dataKey);
      const head = el("th", { scope: "row" }, text(get(axis.labels ?? {}, at) ?? at));
      return el("tr", {}, head, series.map((one) => el("td", {}, text(get(row, one.dataKey)))));
    });
    return el("table", {},
      el("caption", {}, `${names.join(", ")} by ${x}`),
      el("tr", {}, [x, ...names].map((name) => el("th", { scope: "col" }, name))),
      rows);
  },
};

// A button over the whole, so that what is in it keeps its roles; its controls lie above.
function makeClickable(w, node, { onClickAction }) {
  const cover = button("", () => w.send(onClickAction, cover, "self"), { class: "cover" });
  cover.setAttribute("aria-labelledby", (node.id ||= newId()));
  node.classList.add("clickable");
  node.prepend(cover);
}

// After a redraw: what was typed, the focus and the caret.
function inherit(old, fresh, focused) {
  const { ariaBusy, ariaDisabled, value, checked, selectionStart, selectionEnd } = old;
  Object.assign(fresh, { ariaBusy, ariaDisabled });
  if ("touched" in old.dataset) {
    Object.assign(fresh, { value, checked });
    if (fresh.selectedIndex < 0) fresh.value = ""; // That option is gone.
    fresh.dataset.touched = "";
  }
  if (focused) fresh.focus({ preventScroll: true });
  if (focused && selectionEnd >= 0) fresh.setSelectionRange?.(selectionStart, selectionEnd);
}

/** A drawn widget. */
export class Widget {
  /**
   * @param {object} root the widget's root component
   * @param {(action: object) => Promise<void>} act handles an action, whose payload has the values
   * @param {(target: HTMLElement) => {set(text: string): void}} markdown makes a Markdown view
   */
  constructor(root, act, markdown) {
    // `streams`: how an element's text grows.
    Object.assign(this, { act, markdown, streams: new WeakMap() });
    this.element = el("div", { class: "widget" });
    this.element.oninput = ({ target }) => (target.dataset.touched = "");
    this.setRoot(root);
  }

  /** Replaces everything but what a person has entered. */
  setRoot(root) {
    this.redraw(() => this.element.replaceChildren(this.draw(root)));
  }

  /** Replaces the component with this id. */
  setComponent(id, component) {
    const old = this.find(id);
    if (!old) return;
    const fresh = this.draw(component, Number(old.dataset.depth));
    fresh.dataset.id = id;
    this.redraw(() => old.replaceWith(fresh));
  }

  /** Adds to the value of the Text or Markdown with this id. */
  appendText(id, delta) {
    this.streams.get(this.find(id))?.(text(delta));
  }

  find(id) {
    return this.element.querySelector(`[data-id="${CSS.escape(text(id))}"]`);
  }

  draw(component, depth = 1) {
    if (depth > DEEPEST) return el("p", {}, "…");
    const rest = Array.isArray(component) ? { children: component } : { value: component };
    const c = isObject(component) ? component : rest;
    const node = (get(DRAW, c.type) ?? box)(this, c, depth);
    dress(node, c);
    node.dataset.depth = depth;
    node.dataset.key = [c.key, c.name ?? c.id ?? c.onClickAction?.type].map(text);
    if (text(c.id)) node.dataset.id = c.id;
    if (isObject(c.onClickAction) && c.type !== "Button") makeClickable(this, node, c);
    return node;
  }

  children(c, depth) {
    const all = [c.children ?? []].flat();
    return all.map((child) => this.draw(child, depth + 1));
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
    const all = this.element.querySelectorAll("button, fieldset, form, input, select, textarea");
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

  async send(action, from, auto) {
    if (this.waits || !isObject(action) || !text(action.type)) return;
    const fields = from.closest("form")?.querySelectorAll(NAMED) ?? [from];
    const payload = filled(action.payload, [...fields].filter((one) => one.matches(NAMED)));
    const sent = {
      handler: "server", loadingBehavior: "auto", streaming: true, ...action, payload,
    };
    const loading = sent.loadingBehavior === "auto" ? auto : sent.loadingBehavior;
    const busy = get({ self: from, container: this.element }, loading);
    // Not `disabled`, which would lose the focus.
    if (busy) this.waits = busy.ariaBusy = busy.ariaDisabled = "true";
    try {
      await this.act(sent);
    } catch {
      // Whoever acts tells of it; here the part only has to work again.
    }
    if (!busy) return;
    this.waits = false;
    for (const node of [this.element, ...this.element.querySelectorAll("[aria-busy]")]) {
      node.ariaBusy = node.ariaDisabled = null;
    }
  }
}
