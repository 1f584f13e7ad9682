// OpenAI's own component against this backend. It comes from OpenAI's host, and asks it about the
// domain.

const HOST = "cdn.platform.openai.com";
const SECONDS = 15;

const state = document.getElementById("state");
const script = document.createElement("script");
script.src = `https://${HOST}/deployments/chatkit/chatkit.js`;
script.onerror = () => {
  state.textContent = `This browser cannot reach ${HOST}. The chat page needs no other host.`;
};
document.head.append(script);

const late = setTimeout(script.onerror, SECONDS * 1000);
await customElements.whenDefined("openai-chatkit");
clearTimeout(late);
state.textContent = "";
const chat = document.createElement("openai-chatkit");
// For other domains than localhost, OpenAI's platform gives out keys: see its domain allow-list.
const domainKey = "domain_pk_localhost_dev";
chat.setOptions({ api: { url: new URL("chatkit", location.href).href, domainKey } });
document.body.append(chat);
