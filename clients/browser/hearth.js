// Calls objects of a Hearth host from a web page or from Node.js 18 or newer. It has no dependencies.
//
//   const host = new Host("https://host.example:7780", { bearer: "hk_…" });
//   await host.call("demo.counter", "add", { k: 5 });        // or [5]
//   for await (const n of host.stream("demo.clock", "ticks", [3])) console.log(n);
//
// A page of another origin than the host needs an entry in the setting cors of the listener.

// CallError is a failed call. executed is "no", "yes" (or in part) or "unknown". className is the class of an
// exception.
export class CallError extends Error {
  constructor(message, executed = "unknown", code = "unavailable", className = "") {
    super(message);
    this.name = "CallError";
    Object.assign(this, { executed, code, className });
  }
}

export class Host {
  // url is the address of the listener, without a path. The key stays in the memory of the page: do not write it into
  // the page or into a script that others can read.
  constructor(url = "", { bearer = "" } = {}) {
    this.url = url.replace(/\/$/, "");
    this.bearer = bearer;
  }

  // call calls a method. args is an object of keyword arguments or an array. options.once is an idempotency key: a call
  // that failed may be repeated with the same key and arguments. options.signal is an AbortSignal.
  call(id, method, args, options = {}) {
    const headers = options.once ? { "Idempotency-Key": `"${options.once}"` } : {};
    return this.#value("POST", `/v1/objects/${id}/${method}`, args, headers, options.signal);
  }

  get(id, attribute, { signal } = {}) {
    return this.#value("GET", `/v1/objects/${id}/${attribute}`, undefined, {}, signal);
  }

  async set(id, attribute, value, { signal } = {}) {
    await this.#value("PUT", `/v1/objects/${id}/${attribute}`, value, {}, signal);
  }

  async objects() {
    return (await this.#value("GET", "/v1/objects")).objects;
  }

  describe(id) {
    return this.#value("GET", `/v1/objects/${id}`);
  }

  // stream calls a method and yields the items of its stream. The end of the loop closes the stream.
  async *stream(id, method, args, { signal } = {}) {
    const end = new AbortController();
    signal?.addEventListener("abort", () => end.abort(signal.reason));
    const path = `/v1/objects/${id}/${method}`;
    const answer = await this.#send("POST", path, args, { Accept: "text/event-stream" }, end.signal);
    try {
      if (!answer.ok) throw await problem(answer);
      if (!kindOf(answer).startsWith("text/event-stream")) {
        throw new CallError("the result is not an item stream: use call", "yes", "invalid");
      }
      for await (const { name, data } of events(answer.body)) {
        if (name === "end") return;
        if (name === "error") throw problemOf(data);
        yield JSON.parse(data);
      }
      throw new CallError("the item stream was cut off", "yes");
    } finally {
      end.abort();
    }
  }

  async #value(method, path, body, headers, signal) {
    const answer = await this.#send(method, path, body, headers, signal);
    if (answer.status === 202 || answer.status === 204) return null;
    if (!answer.ok) throw await problem(answer);
    if (!kindOf(answer).startsWith("application/json")) {
      await answer.body?.cancel();
      throw new CallError("the result is an item stream: use stream", "yes", "invalid");
    }
    return answer.json();
  }

  async #send(method, path, body, headers = {}, signal) {
    const all = { ...headers };
    if (body !== undefined) all["Content-Type"] = "application/json";
    if (this.bearer) all.Authorization = `Bearer ${this.bearer}`;
    try {
      return await fetch(this.url + path, {
        method, headers: all, body: body === undefined ? undefined : JSON.stringify(body), signal,
        credentials: "omit", redirect: "error", referrerPolicy: "no-referrer",
      });
    } catch (e) {
      if (e.name === "AbortError") throw e;
      // fetch does not report whether the request was sent.
      throw new CallError(`no answer from the host: ${e.message}`);
    }
  }
}

const kindOf = (answer) => answer.headers.get("Content-Type") ?? "";

async function problem(answer) {
  if (!kindOf(answer).startsWith("application/problem+json")) {
    return new CallError(`status ${answer.status} without a problem of a host`);
  }
  return problemOf(await answer.text());
}

function problemOf(text) {
  const p = JSON.parse(text);
  return new CallError(p.detail || p.title, p.executed, p.type.split(":").pop(), p.class ?? "");
}

// events yields the events of a body in the format of server-sent events. EventSource cannot send a call: it has GET
// only.
async function* events(body) {
  let text = "", name = "", data = [];
  const decoder = new TextDecoder();
  const reader = body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += decoder.decode(value, { stream: true });
    const lines = text.split("\n");
    text = lines.pop();
    for (const line of lines) {
      if (line.startsWith("event:")) name = line.slice(6).trim();
      else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
      else if (line === "" && (name || data.length)) {
        yield { name, data: data.join("\n") };
        name = "";
        data = [];
      }
    }
  }
}
