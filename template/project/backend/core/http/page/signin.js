// The token that a backend with a sign-in asks for, kept in this tab alone.

import { find, onSubmit } from "./dom.js";
import { url } from "./shared.js";

// Another page of this origin may keep a token of its own.
const KEY = `token for ${url}`;
const form = find("sign-in");
const [problem, token] = form.querySelectorAll("p, input");

form.onsubmit = onSubmit(() => {
  sessionStorage.setItem(KEY, token.value.trim());
  form.reset();
  form.hidden = true;
});

/** The header for this address: none before a sign-in, nor for other hosts. */
export function authorization(address) {
  const kept = sessionStorage.getItem(KEY);
  const own = URL.parse(address, location.href)?.origin === location.origin;
  return kept && own ? { Authorization: `Bearer ${kept}` } : {};
}

/** Whether this answer to a request wants a token, or another one. */
export const asksForToken = ({ status, headers }) =>
  status === 401 && /^bearer\b/i.test(headers.get("WWW-Authenticate"));

/** Shows the form with this sentence, until a token is given. */
export function signIn(sentence, signal) {
  problem.textContent = sentence;
  form.hidden = false;
  token.focus();
  return new Promise((given, stopped) => {
    form.addEventListener("submit", given, { once: true });
    signal?.addEventListener("abort", () => stopped(signal.reason));
  });
}
