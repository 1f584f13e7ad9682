// What this page does for your backend. This is the file to edit.

/** Tools that run in the browser: each takes a ClientToolCall's arguments, gives its output. */
export const clientTools = {
  browser_time_zone: () => ({ time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone }),
};

/** What a ClientEffectEvent does, by its name. Each takes the event's data. */
export const effects = {};

/**
 * Widget actions whose handler is "client", by their type. Each takes the payload, the item, and
 * send({ type, payload }, itemId?), which sends an action to the server.
 */
export const actions = {};

/** What @… in a message may name: {id, text, data, group?} that fit the query. Null: nothing. */
export const searchTags = null; // async (query) => [{ id: "ada", text: "Ada Lovelace", data: {} }]

// Three more exports are for OpenAI's component, which does without those that are missing:
// openTag(tag), called when a tag is clicked; previewTag(tag) gives a widget that shows the tag;
// componentOptions(options) gives the component's options, changed as you like.

/** Further headers of each request. */
export const headers = () => ({});
