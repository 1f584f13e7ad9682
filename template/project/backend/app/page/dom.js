// Elements in a line each.

/**
 * An element. Properties that are functions are listeners (`onclick`), the others attributes; false,
 * null and undefined leave an attribute out. Strings among the children are text, never markup.
 */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") element[name] = value;
    else if (value !== false && value != null) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity));
  return element;
}

/** A button with a text. */
export function button(text, onclick, properties = {}) {
  return el("button", { type: "button", onclick, ...properties }, text);
}

/** The element of the page with this id. */
export function find(id) {
  return document.getElementById(id);
}

const waiting = new Set();

/** Call `draw` before the next frame, once, however often it is asked for until then. */
export function beforeNextFrame(draw) {
  if (waiting.size === 0) {
    requestAnimationFrame(() => {
      const draws = [...waiting];
      waiting.clear();
      for (const next of draws) next();
    });
  }
  waiting.add(draw);
}

/** A link that opens in a tab of its own; the bare text where the address is not safe to follow. */
export function link(address, text) {
  const url = URL.parse(address, location.href);
  if (!["http:", "https:", "mailto:"].includes(url?.protocol)) return el("span", {}, text);
  const rel = "noopener noreferrer nofollow";
  return el("a", { href: url.href, target: "_blank", rel }, text);
}

/** An image of this server, or one that its address holds itself; those of others are links. */
export function image(address, alt) {
  const url = URL.parse(address, location.href);
  const own = url?.origin === location.origin || /^(data:image\/|blob:)/.test(address);
  return own ? el("img", { src: address, alt }) : link(address, `${alt} (${url?.host ?? "no address"})`);
}
