// The ChatKit protocol: requests, the stream of events, and what an update does to an item.

import { headers } from "./handlers.js";
import { watch } from "./panel.js";
import { url } from "./shared.js";
import { asksForToken, authorization, signIn } from "./signin.js";

const LOST = "The connection to the server was lost.";
const UNREACHED = "The server cannot be reached. Is it running?";

/** With a sentence for the person at the chat; `lost`: there is no connection. */
class RequestFailed extends Error {}

/** The JSON that answers, or the last event of a stream, of which `onEvent` is handed each. */
export async function ask(type, params, { signal, onEvent } = {}) {
  const body = JSON.stringify({ type, params });
  const exchange = { type, url, body, events: [], streams: onEvent, sent: performance.now() };
  try {
    const response = await send(exchange, signal);
    const streams = response.headers.get("Content-Type")?.includes("event-stream");
    let data;
    for await (const text of streams ? serverSentEvents(response.body) : [response.text()]) {
      data = receive(exchange, text || "{}");
      onEvent?.(data);
    }
    return data;
  } catch (error) {
    if (error instanceof RequestFailed || error.name === "AbortError") throw error;
    if (exchange.status) console.warn(error);
    throw Object.assign(new RequestFailed(exchange.status ? LOST : UNREACHED), { lost: true });
  } finally {
    exchange.took = performance.now() - exchange.sent;
    watch(exchange);
  }
}

async function send(exchange, signal) {
  const { body } = exchange;
  const given = { "Content-Type": "application/json", ...authorization(url), ...headers() };
  exchange.headers = given;
  const response = await fetch(url, { method: "POST", body, headers: given, signal });
  exchange.status = response.status;
  exchange.requestId = response.headers.get("X-Request-ID");
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  const { detail, request_id: id } = receive(exchange, JSON.stringify(problem));
  const sentence = typeof detail === "string" ? detail : "The server failed.";
  if (asksForToken(response)) {
    await signIn(sentence, signal);
    return send(exchange, signal);
  }
  throw new RequestFailed(id ? `${sentence} (Request ${id})` : sentence);
}

function receive(exchange, text) {
  const data = JSON.parse(text);
  const at = performance.now() - exchange.sent;
  exchange.events.push({ at, size: new TextEncoder().encode(text).length, data });
  watch(exchange);
  return data;
}

/** The data of each event in a stream of bytes, without comments. CRLF and CR end lines too. */
export async function* serverSentEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let data = [];
  for (;;) {
    const { value = "", done } = await reader.read();
    rest += value;
    // A CR at the end may be half a CRLF.
    const lines = rest.split(done ? /\r\n|\n|\r/ : /\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    for (const line of lines) {
      if (line === "" && data.length) {
        yield data.join("\n");
        data = [];
      } else if (line.startsWith("data:")) {
        data.push(line.slice(line[5] === " " ? 6 : 5));
      }
    }
    if (done) return;
  }
}

/** Do to an item what an update says; the parts of widgets change where they are drawn. */
export function apply(item, update) {
  const { type, content_index: index, content, delta, annotation, task, widget } = update;
  const part = item.content?.[index];
  if (content) item.content[index] = content;
  if (task) item.workflow.tasks[update.task_index] = task;
  if (widget) item.widget = widget;
  if (annotation) (part.annotations ??= []).push(annotation);
  if (type === "assistant_message.content_part.text_delta") {
    if (part) part.text += delta;
    else item.content[index] = { text: delta };
  }
}
