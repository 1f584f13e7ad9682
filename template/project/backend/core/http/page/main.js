// The page: which thread is open, and who tells whom.

import { showComposer, submit } from "./composer.js";
import { Conversation, here } from "./conversation.js";
import { button, find } from "./dom.js";
import { toggle } from "./panel.js";
import { about } from "./shared.js";
import { load, mark, put } from "./threads.js";

function changed(conversation) {
  const { thread } = conversation;
  if (thread) put(thread);
  if (conversation !== here.open) return;
  if (thread && location.hash !== `#${thread.id}`) history.pushState(null, "", `#${thread.id}`);
  show();
}

function show() {
  const { thread, turn, element } = here.open;
  const { type = "active", reason } = thread?.status ?? {};
  const closed = type === "active" ? "" : `This conversation is ${type}. ${reason ?? ""}`;
  if (find("conversation").firstChild !== element) find("conversation").replaceChildren(element);
  find("welcome").hidden = Boolean(thread || turn);
  mark(thread?.id);
  document.title = thread?.title ? `${thread.title} – ${about.name}` : about.name;
  showComposer(turn, closed);
}

async function follow() {
  const threadId = location.hash.slice(1);
  document.body.classList.remove("threads-open");
  if (threadId && here.open.thread?.id === threadId) return;
  here.open = here.of(threadId) ?? new Conversation(changed);
  if (threadId && !here.open.thread) await here.open.load(threadId);
  show();
  atEnd = true;
  toEnd();
}

// The end of the conversation stays in sight, unless the reader has scrolled up.
const scroller = find("scroller");
let atEnd = true;
let before = 0;
const toEnd = () => scroller.scrollTo(0, scroller.scrollHeight);
scroller.onscroll = () => {
  const { scrollTop, scrollHeight, clientHeight } = scroller;
  atEnd = scrollHeight - scrollTop - clientHeight < 60 || (atEnd && scrollTop >= before);
  before = scrollTop;
};
new ResizeObserver(() => atEnd && toEnd()).observe(find("conversation"));

for (const name of ["name", "model", "hint"]) find(name).textContent = about[name];
find("starters").append(...about.starters.map((text) => button(text, () => submit(text))));
find("new-chat").onclick = () => {
  location.hash = "";
  find("text").focus();
};
const toggles = { threads: () => document.body.classList.toggle("threads-open"), panel: toggle };
for (const [name, work] of Object.entries(toggles)) {
  find(`show-${name}`).onclick = ({ target }) => (target.ariaExpanded = work());
}
window.onhashchange = follow;
here.open = new Conversation(changed);
show();
await load();
if (location.hash) await follow();
find("text").focus();
