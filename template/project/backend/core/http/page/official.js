// OpenAI's own component against this backend. It asks OpenAI's host about the domain.

import { url } from "./shared.js";

await customElements.whenDefined("openai-chatkit");
document.getElementById("state").remove();
// For other domains, OpenAI's platform gives out keys: see its domain allow-list.
const domainKey = "domain_pk_localhost_dev";
const chat = document.createElement("openai-chatkit");
chat.setOptions({ api: { url, domainKey } });
document.body.append(chat);
