// What the chat page and the official component share: where the backend is, what it offers, and
// how handlers.js answers it.

import { actions, clientTools, effects } from "./handlers.js";

/** The project's name, who answers, what the server offers. */
export const about = await (await fetch(new URL("about.json", import.meta.url))).json();

// Relative to this file: so it holds wherever the page is served, behind whatever proxy.
export const url = new URL(about.chatkit, import.meta.url).href;

/** What the tool gives, or how it has failed: the model is told either. */
export async function runClientTool(name, input) {
  try {
    return (await handlerOf(clientTools, "client tool", name)(input)) ?? null;
  } catch (error) {
    return { error: error.message };
  }
}

/** `send(action, itemId)` sends one to the server, from a widget or, without an id, from none. */
export async function runAction({ type, payload }, item, send) {
  await handlerOf(actions, "action", type)(payload, item, send);
}

export function runEffect({ name, data }) {
  effects[name]?.(data);
}

function handlerOf(handlers, kind, name) {
  if (Object.hasOwn(handlers, name)) return handlers[name];
  throw new Error(`page/handlers.js has no ${kind} ${name}.`);
}
