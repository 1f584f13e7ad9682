// The page: which thread is open, and who tells whom.

import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { button, find } from "./dom.js";
import { headers } from "./handlers.js";
import { Panel } from "./panel.js";
import { Client } from "./protocol.js";
import { ThreadList } from "./threads.js";

const about = await (await fetch("page/about.json")).json();
const panel = new Panel("chatkit");
const client = new Client("chatkit", headers, (exchange) => panel.watch(exchange));
const threads = new ThreadList(client, {
  open: (threadId) => (location.hash = threadId),
  renamed: (thread) => {
    const shown = open.thread?.id === thread.id ? open : running.get(thread.id);
    shown?.update(thread);
  },
  deleted: (threadId) => open.thread?.id === threadId && (location.hash = ""),
  trying: (what) => open.trying(what),
});
const page = { offers: about.offers, changed, open: () => open };
const composer = new Composer(client, page);

// The threads that are being answered go on while another is looked at.
const running = new Map();
let open = new Conversation(client, page);

function changed(conversation) {
  const { thread, turn } = conversation;
  if (thread) {
    threads.put(thread);
    if (turn) running.set(thread.id, conversation);
    else running.delete(thread.id);
  }
  if (conversation !== open) return;
  if (thread && location.hash !== `#${thread.id}`) history.pushState(null, "", `#${thread.id}`);
  show();
}

function show() {
  const { thread, turn, element } = open;
  const { type = "active", reason } = thread?.status ?? {};
  const closed = type === "active" ? "" : `This conversation is ${type}. ${reason ?? ""}`;
  if (find("conversation").firstChild !== element) find("conversation").replaceChildren(element);
  find("welcome").hidden = Boolean(thread || turn);
  threads.mark(thread?.id);
  document.title = thread?.title ? `${thread.title} – ${about.name}` : about.name;
  composer.show({ busy: Boolean(turn), closed });
}

async function follow() {
  const threadId = location.hash.slice(1);
  document.body.classList.remove("threads-open");
  if (open.thread?.id === (threadId || undefined) && threadId) return;
  open = running.get(threadId) ?? new Conversation(client, page);
  if (threadId && !open.thread) await open.trying(() => open.load(threadId));
  show();
  atEnd = true;
  toEnd();
}

// The end of the conversation stays in sight, unless the reader has scrolled away from it.
const scroller = find("scroller");
let atEnd = true;
const toEnd = () => scroller.scrollTo(0, scroller.scrollHeight);
scroller.onscroll = () => {
  atEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 60;
};
new ResizeObserver(() => atEnd && toEnd()).observe(find("conversation"));

find("project").textContent = about.name;
find("model").textContent = about.model;
find("hint").textContent = about.hint;
for (const text of about.starters) {
  const start = () => {
    composer.text.value = text;
    composer.submit();
  };
  find("starters").append(button(text, start));
}
find("threads").append(threads.element);
find("new-chat").onclick = () => {
  location.hash = "";
  composer.text.focus();
};
find("show-threads").onclick = ({ currentTarget }) => {
  currentTarget.ariaExpanded = document.body.classList.toggle("threads-open");
};
find("show-panel").onclick = ({ currentTarget }) => {
  currentTarget.ariaExpanded = panel.toggle();
};
window.onhashchange = follow;
await threads.load();
await follow();
composer.text.focus();
