// OpenAI's own component against this backend. It comes from OpenAI's host and asks it about the domain.

const SCRIPT = "https://cdn.platform.openai.com/deployments/chatkit/chatkit.js";
const SECONDS = 15;

const state = document.getElementById("state");
const script = document.createElement("script");
script.src = SCRIPT;
script.onerror = () => {
  state.textContent = `This browser cannot reach ${new URL(SCRIPT).host}. The chat page itself needs no other host.`;
};
document.head.append(script);

const late = setTimeout(script.onerror, SECONDS * 1000);
await customElements.whenDefined("openai-chatkit");
clearTimeout(late);
state.textContent = "";
const chat = document.createElement("openai-chatkit");
chat.setOptions({
  // A key for another domain than localhost: platform.openai.com/settings/organization/security/domain-allowlist
  api: { url: new URL("chatkit", location.href).href, domainKey: "domain_pk_localhost_dev" },
});
document.body.append(chat);
