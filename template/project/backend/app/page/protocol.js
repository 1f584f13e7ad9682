// The ChatKit protocol: requests, the stream of events, and what an update does to an item.

const FAILURES = {
  "stream.error": "The answer failed on the server.",
  "rate_limit.exceeded": "Too many messages. Wait a moment.",
};

/** A request that failed, with a sentence for the person at the chat. */
export class RequestFailed extends Error {
  constructor(sentence, status) {
    super(sentence);
    this.status = status;
  }
}

/** Talks to one ChatKit server. */
export class Client {
  /**
   * @param {string} url the server's /chatkit
   * @param {() => Record<string, string>} headers what else to send with each request
   * @param {(exchange: object) => void} watch told of each request, and again whenever it changes
   */
  constructor(url, headers, watch) {
    this.url = url;
    this.headers = headers;
    this.watch = watch;
  }

  /** The JSON that answers a request. Throws RequestFailed. */
  async ask(type, params) {
    const exchange = this.begin(type, params, "JSON");
    try {
      const response = await this.send(exchange);
      const text = await response.text();
      exchange.events.push(received(exchange, text, JSON.parse(text || "{}")));
      return exchange.events[0].data;
    } finally {
      this.end(exchange);
    }
  }

  /**
   * Send a request that is answered by a stream, and hand on each event as it comes.
   * Throws RequestFailed; its status is 0 if the connection was lost, and an AbortError on Stop.
   */
  async stream(type, params, { signal, onEvent }) {
    const exchange = this.begin(type, params, "stream");
    try {
      const response = await this.send(exchange, signal);
      for await (const data of serverSentEvents(response.body)) {
        const event = received(exchange, data, JSON.parse(data));
        exchange.events.push(event);
        this.watch(exchange);
        onEvent(event.data);
      }
    } catch (error) {
      if (error instanceof RequestFailed || error.name === "AbortError") throw error;
      console.warn(error);
      throw new RequestFailed("The connection to the server was lost.", 0);
    } finally {
      this.end(exchange);
    }
  }

  begin(type, params, kind) {
    const body = JSON.stringify({ type, params });
    const headers = { "Content-Type": "application/json", ...this.headers() };
    const exchange = { type, kind, body, headers, sent: performance.now(), events: [], status: null };
    this.watch(exchange);
    return exchange;
  }

  async send(exchange, signal) {
    const { body, headers } = exchange;
    const response = await fetch(this.url, { method: "POST", body, headers, signal }).catch((error) => {
      if (error.name === "AbortError") throw error;
      throw new RequestFailed("The server cannot be reached. Is it running?", 0);
    });
    exchange.status = response.status;
    exchange.requestId = response.headers.get("X-Request-ID");
    if (response.ok) return response;
    const problem = await response.json().catch(() => ({}));
    exchange.events.push(received(exchange, JSON.stringify(problem), problem));
    const sentence = typeof problem.detail === "string" ? problem.detail : "The server failed.";
    const id = problem.request_id ? ` (Request ${problem.request_id})` : "";
    throw new RequestFailed(sentence + id, response.status);
  }

  end(exchange) {
    exchange.took = performance.now() - exchange.sent;
    this.watch(exchange);
  }
}

const encoder = new TextEncoder();

function received(exchange, text, data) {
  return { at: performance.now() - exchange.sent, size: encoder.encode(text).length, data };
}

/** The data of each event in a stream of bytes: comments are left out, CRLF and CR end lines too. */
export async function* serverSentEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let data = [];
  for (;;) {
    const { value = "", done } = await reader.read();
    rest += value;
    // A CR at the end may be half of a CRLF.
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

/** What an error event says, in words. */
export function sentenceOf(event) {
  return event.message || FAILURES[event.code] || "Something went wrong on the server.";
}

/** Do to an item what a thread.item.updated event says; the parts of widgets change where drawn. */
export function apply(item, update) {
  const part = item.content?.[update.content_index];
  switch (update.type) {
    case "assistant_message.content_part.added":
    case "assistant_message.content_part.done":
      item.content[update.content_index] = update.content;
      break;
    case "assistant_message.content_part.text_delta":
      if (part) part.text += update.delta;
      else item.content[update.content_index] = { text: update.delta, annotations: [] };
      break;
    case "assistant_message.content_part.annotation_added":
      if (part) (part.annotations ??= []).splice(update.annotation_index, 0, update.annotation);
      break;
    case "workflow.task.added":
    case "workflow.task.updated":
      item.workflow.tasks[update.task_index] = update.task;
      break;
    case "widget.root.updated":
      item.widget = update.widget;
      break;
    case "generated_image.updated":
      item.image = update.image;
      item.progress = update.progress;
      break;
  }
}
