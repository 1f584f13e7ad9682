// OpenAI's own component against this backend. It asks OpenAI's host about the domain.

import { find } from "./dom.js";
import * as handlers from "./handlers.js";
import { about, runAction, runClientTool, runEffect, url } from "./shared.js";
import { asksForToken, authorization, signIn } from "./signin.js";

// For other domains, OpenAI's platform gives out keys: see its domain allow-list.
const domainKey = "domain_pk_localhost_dev";
const { searchTags, openTag, previewTag, componentOptions = (options) => options } = handlers;
const { models, tools, attachments } = about.offers;
const tell = (sentence) => (find("state").textContent = sentence);

/** fetch() with the token of this tab, which is asked for when the backend wants one. */
async function fetchSignedIn(input, init) {
  const address = input.url ?? String(input);
  const further = address === url ? handlers.headers() : {};
  const headers = new Headers(init?.headers);
  for (const [name, value] of Object.entries({ ...authorization(address), ...further })) {
    headers.set(name, value);
  }
  const response = await fetch(input, { ...init, headers });
  if (response.ok) return response;
  const { detail } = await response.clone().json().catch(() => ({}));
  const sentence = typeof detail === "string" ? detail : "The server failed.";
  if (!asksForToken(response)) {
    // The component has only words of its own for it.
    tell(sentence);
    return response;
  }
  await signIn(sentence, init?.signal);
  return fetchSignedIn(input, init);
}

// handlers.js calls a tag's name its text, as the protocol does; the component says title.
const entityOf = ({ text, ...tag }) =>
  ({ ...tag, title: text, interactive: Boolean(openTag || previewTag) });
const tagOf = ({ title, ...entity }) => ({ ...entity, text: title });

const sendAction = (action, itemId) => chat.sendCustomAction(action, itemId);

const options = {
  api: { url, domainKey, fetch: fetchSignedIn },
  onClientTool: async ({ name, params }) => (await runClientTool(name, params)) ?? {},
  widgets: {
    onAction: (action, item) =>
      runAction(action, item, sendAction).catch(({ message }) => tell(message)),
  },
  startScreen: { prompts: about.starters.map((prompt) => ({ label: prompt, prompt })) },
  threadItemActions: { feedback: true, retry: true },
  composer: {},
};
if (attachments) {
  options.api.uploadStrategy = { type: "two_phase" };
  options.composer.attachments = { enabled: true };
}
if (models.length) options.composer.models = models;
if (tools.length) options.composer.tools = tools;
if (searchTags) {
  options.entities = {
    onTagSearch: async (query) => (await searchTags(query)).map(entityOf),
    ...(openTag && { onClick: (entity) => openTag(tagOf(entity)) }),
    ...(previewTag && {
      onRequestPreview: async (entity) => ({ preview: (await previewTag(tagOf(entity))) ?? null }),
    }),
  };
}

await customElements.whenDefined("openai-chatkit");
tell("");
const chat = document.createElement("openai-chatkit");
chat.setOptions(componentOptions(options));
chat.addEventListener("chatkit.effect", ({ detail }) => runEffect(detail));
document.body.append(chat);
