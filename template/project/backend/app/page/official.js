// OpenAI's own component against this backend. It comes from OpenAI's host, and asks it about the
// domain.

const HOST = "cdn.platform.openai.com";
// For other domains than localhost, OpenAI's platform gives out keys: see its domain allow-list.
const DOMAIN_KEY = "domain_pk_localhost_dev";

const state = document.getElementById("state");
const script = document.createElement("script");
script.src = `https://${HOST}/deployments/chatkit/chatkit.js`;
script.onerror = () => {
  state.textContent = `This browser cannot reach ${HOST}. The chat page needs no other host.`;
};
document.head.append(script);

const late = setTimeout(script.onerror, 15_000);
await customElements.whenDefined("openai-chatkit");
clearTimeout(late);
state.textContent = "";
const chat = document.createElement("openai-chatkit");
const url = new URL("chatkit", location.href).href;
chat.setOptions({ api: { url, domainKey: DOMAIN_KEY } });
document.body.append(chat);
