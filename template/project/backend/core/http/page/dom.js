// Elements in a line each, and what else all parts share.

/**
 * An element: `el("p.big", { id: "x" }, "Hello")`. Functions are listeners; true, texts and numbers
 * are attributes; all else is left out. A child's text is never markup.
 */
export function el(kind, ...children) {
  const [tag, ...classes] = kind.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  const given = children[0]?.constructor === Object ? children.shift() : {};
  for (const [name, value] of Object.entries(given)) {
    if (typeof value === "function") element[name] = value;
    else if (value === true) element.setAttribute(name, "");
    else if (["string", "number"].includes(typeof value)) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity));
  return element;
}

/** Not `disabled`: that loses the focus. */
export function setBusy(element, busy) {
  element.ariaBusy = element.ariaDisabled = busy ? "true" : null;
}

/** A button that takes no second click while the first one's work is under way. */
export function button(text, work, properties = {}) {
  const onclick = async (event) => {
    if (node.ariaBusy) return;
    setBusy(node, true);
    try {
      await work(event);
    } finally {
      setBusy(node, false);
    }
  };
  const node = el("button", { type: "button", onclick, ...properties }, text);
  return node;
}

/** A form's listener: `then(form, button)`. */
export const onSubmit = (then) => (event) => {
  event.preventDefault();
  then(event.currentTarget, event.submitter);
};

export const find = (id) => document.getElementById(id);

const waiting = new Set();

/** Calls `draw` once before the next frame, however often it is asked for. */
export function beforeNextFrame(draw) {
  if (!waiting.has(draw)) requestAnimationFrame(() => waiting.delete(draw) && draw());
  waiting.add(draw);
}

/** A link to a new tab; the bare text if its address is not safe. */
export function link(address, text, title) {
  const { protocol, href } = URL.parse(address) ?? {};
  if (!/^(https?|mailto):$/.test(protocol)) return el("span", text);
  const rel = "noopener noreferrer nofollow";
  return el("a", { href, title, target: "_blank", rel }, text);
}

/** An image of this server, or one that its address holds; else a link to it. */
export function image(address, alt) {
  const url = address ? URL.parse(address, location.href) : null;
  const own = url?.origin === location.origin || /^data:image\//i.test(url?.href);
  return own
    ? el("img", { src: url.href, alt })
    : link(url?.href, `${alt || "Image"} (${url?.host || "no address"})`);
}
