// Elements in a line each.

/**
 * An element. Functions are listeners (`onclick`); true, texts and numbers are attributes, and all
 * else is left out. Strings among the children are text, never markup.
 */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") element[name] = value;
    else if (value === true) element.setAttribute(name, "");
    else if (["string", "number"].includes(typeof value)) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity));
  return element;
}

export const button = (text, onclick, properties = {}) =>
  el("button", { type: "button", onclick, ...properties }, text);

export const find = (id) => document.getElementById(id);

const waiting = new Set();

/** Call `draw` before the next frame: once, however often it is asked for. */
export function beforeNextFrame(draw) {
  if (waiting.has(draw)) return;
  waiting.add(draw);
  requestAnimationFrame(() => {
    waiting.delete(draw);
    draw();
  });
}

/** A link that opens in a tab of its own; the bare text if its address is not safe to follow. */
export function link(address, text, title) {
  const { protocol, href } = URL.parse(address) ?? {};
  if (!/^(https?|mailto):$/.test(protocol)) return el("span", {}, text);
  const rel = "noopener noreferrer nofollow";
  return el("a", { href, title, target: "_blank", rel }, text);
}

/** An image of this server, or one that its address holds itself; those of others are links. */
export function image(address, alt) {
  const url = address ? URL.parse(address, location.href) : null;
  const own = url?.origin === location.origin || /^data:image\//i.test(url?.href);
  return own
    ? el("img", { src: url.href, alt })
    : link(url?.href, `${alt || "Image"} (${url?.host || "no address"})`);
}
