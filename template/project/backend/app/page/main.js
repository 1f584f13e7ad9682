// The page: which thread is open, and who tells whom.

import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { button, find } from "./dom.js";
import { headers } from "./handlers.js";
import { Panel } from "./panel.js";
import { Client } from "./protocol.js";
import { ThreadList } from "./threads.js";

const CHATKIT = "chatkit";

const about = await (await fetch("page/about.json")).json();
const panel = new Panel(CHATKIT);
const client = new Client(CHATKIT, headers, (exchange) => panel.watch(exchange));
const threads = new ThreadList(client, {
  open: (threadId) => (location.hash = threadId),
  renamed: (thread) =>
    [open, running.get(thread.id)].find((one) => one?.thread?.id === thread.id)?.update(thread),
  deleted: (threadId) => open.thread?.id === threadId && (location.hash = ""),
  fail,
});
const page = { offers: about.offers, changed };
const composer = new Composer(client, {
  offers: about.offers,
  send: (input, accepted) => open.send(input, accepted),
  stop: () => open.stop(),
  fail,
});

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
  const status = thread?.status;
  const closed = status && status.type !== "active";
  if (find("conversation").firstChild !== element) find("conversation").replaceChildren(element);
  find("welcome").hidden = Boolean(thread || turn);
  threads.mark(thread?.id);
  document.title = thread?.title ? `${thread.title} – ${about.name}` : about.name;
  composer.show({
    busy: Boolean(turn),
    closed: closed ? `This conversation is ${status.type}. ${status.reason ?? ""}` : null,
  });
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

function fail(sentence) {
  open.fail(sentence);
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
find("hint").textContent = about.hint ?? "";
find("starters").append(
  ...about.starters.map((text) =>
    button(text, () => {
      composer.text.value = text;
      composer.submit();
    }),
  ),
);
find("threads").append(threads.element);
find("new-chat").onclick = () => {
  location.hash = "";
  composer.text.focus();
};
find("show-threads").onclick = ({ currentTarget }) =>
  currentTarget.setAttribute("aria-expanded", document.body.classList.toggle("threads-open"));
find("show-panel").onclick = ({ currentTarget }) =>
  currentTarget.setAttribute("aria-expanded", panel.toggle());
window.onhashchange = follow;
await threads.load();
await follow();
composer.text.focus();
