// What this page does for your backend. This is the file to edit.

/**
 * Tools that run in the browser: when a tool of the agent makes a ClientToolCall, the one of its name is
 * called with the arguments. What it returns, or a promise of it, is the tool's output.
 */
export const clientTools = {
  browser_time_zone: () => ({ time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone }),
};

/** What a ClientEffectEvent does, by its name. Each takes the event's data. */
export const effects = {};

/** Widget actions whose handler is "client", by their type. Each takes the payload and the item. */
export const actions = {};

/**
 * What @… in a message may name: an array of {id, text, data, group?} that fit the query. They reach the
 * backend as tags. Without this function, @ is a letter like all others.
 */
export const searchTags = null; // async (query) => [{ id: "ada", text: "Ada Lovelace", data: {} }]

/** What else to send with each request: a sign-in, for example. */
export const headers = () => ({});
