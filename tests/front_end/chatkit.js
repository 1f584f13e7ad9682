// Stands in for OpenAI's script, which the tests do without: an element of the same name that uses
// its options as @openai/chatkit describes them.

customElements.define("openai-chatkit", class extends HTMLElement {
  setOptions(options) {
    this.options = options;
    this.dataset.ready = "";
  }

  /** What answers a request: the events of a stream, or the one answer. */
  async post(type, params) {
    const { url, fetch: send = (...given) => fetch(...given) } = this.options.api;
    const headers = { "Content-Type": "application/json" };
    const body = JSON.stringify({ type, params });
    const response = await send(url, { method: "POST", headers, body });
    const text = await response.text();
    if (!response.ok) throw new Error(`${response.status} ${text}`);
    const events = [...text.matchAll(/^data: (.*)$/gm)].map(([, data]) => JSON.parse(data));
    return events.length ? events : [JSON.parse(text)];
  }

  sendCustomAction(action, itemId = null) {
    const params = { thread_id: this.threadId, item_id: itemId, action };
    return this.post("threads.custom_action", params);
  }

  /** Sends a message, runs the client tools that are called, and gives what was answered. */
  async say(said) {
    const content = [{ type: "input_text", text: said }];
    const input = { content, attachments: [], inference_options: {} };
    let events = await this.post("threads.create", { input });
    const { id: thread_id } = events.find(({ type }) => type === "thread.created").thread;
    this.threadId = thread_id;
    const heard = [];
    for (;;) {
      for (const { type, name, data, item } of events) {
        if (type === "client_effect") {
          this.dispatchEvent(new CustomEvent("chatkit.effect", { detail: { name, data } }));
        }
        if (item?.type === "assistant_message" && type === "thread.item.done") {
          heard.push(item.content[0].text);
        }
      }
      const waits = events.map(({ item }) => item)
        .find((item) => item?.type === "client_tool_call" && item.status === "pending");
      if (!waits) return heard;
      const { name, arguments: params } = waits;
      const result = await this.options.onClientTool({ name, params });
      events = await this.post("threads.add_client_tool_output", { thread_id, result });
    }
  }
});
