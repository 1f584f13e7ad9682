// What the chat page and the official component share: where the backend is, and what it offers.

/** The project's name, who answers, what the server offers. */
export const about = await (await fetch(new URL("about.json", import.meta.url))).json();

// Relative to this file: so it holds wherever the page is served, behind whatever proxy.
export const url = new URL(about.chatkit, import.meta.url).href;
