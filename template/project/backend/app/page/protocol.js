// The ChatKit protocol: requests, the stream of events, and what an update does to an item.

/** A request that failed, with a sentence for the person at the chat. Status 0: no connection. */
export class RequestFailed extends Error {
  constructor(sentence, status) {
    super(sentence);
    this.status = status;
  }
}

/** Talks to one ChatKit server. */
export class Client {
  /** `headers()`: what else to send; `watch(exchange)` is told of each request and its changes. */
  constructor(url, headers, watch) {
    Object.assign(this, { url, headers, watch });
  }

  /** The JSON that answers a request. Throws RequestFailed. */
  ask(type, params) {
    const read = async (response, receive) => receive((await response.text()) || "{}");
    return this.exchange({ type, params }, {}, read);
  }

  /** Hand on each event of the answer. Throws RequestFailed, and an AbortError on Stop. */
  async stream(type, params, { signal, onEvent }) {
    const read = async (response, receive) => {
      for await (const data of serverSentEvents(response.body)) onEvent(receive(data));
    };
    try {
      await this.exchange({ type, params }, { signal, streams: true }, read);
    } catch (error) {
      if (error instanceof RequestFailed || error.name === "AbortError") throw error;
      console.warn(error);
      throw new RequestFailed("The connection to the server was lost.", 0);
    }
  }

  async exchange(request, { signal, streams }, read) {
    const body = JSON.stringify(request);
    const headers = { "Content-Type": "application/json", ...this.headers() };
    const exchange = { type: request.type, streams, body, headers, events: [] };
    const sent = performance.now();
    const receive = (text) => {
      const data = JSON.parse(text);
      const size = encoder.encode(text).length;
      exchange.events.push({ at: performance.now() - sent, size, data });
      this.watch(exchange);
      return data;
    };
    this.watch(exchange);
    try {
      const response = await fetch(this.url, { method: "POST", body, headers, signal }).catch(lost);
      exchange.status = response.status;
      exchange.requestId = response.headers.get("X-Request-ID");
      if (response.ok) return await read(response, receive);
      const problem = await response.json().catch(() => ({}));
      const { detail, request_id } = receive(JSON.stringify(problem));
      const id = request_id ? ` (Request ${request_id})` : "";
      const sentence = typeof detail === "string" ? detail : "The server failed.";
      throw new RequestFailed(sentence + id, response.status);
    } finally {
      exchange.took = performance.now() - sent;
      this.watch(exchange);
    }
  }
}

function lost(error) {
  if (error.name === "AbortError") throw error;
  throw new RequestFailed("The server cannot be reached. Is it running?", 0);
}

const encoder = new TextEncoder();

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
  if (annotation) (part.annotations ??= []).splice(update.annotation_index, 0, annotation);
  if (type === "generated_image.updated") Object.assign(item, update, { type: item.type });
  if (type === "assistant_message.content_part.text_delta") {
    if (part) part.text += delta;
    else item.content[index] = { text: delta };
  }
}
