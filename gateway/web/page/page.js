"use strict";
(() => {
  const maxShown = 100000; // characters of an answer
  const tokens = new Map(); // sessions of objects of mode "session", by object
  const running = new Map(); // AbortController of a form
  let key = ""; // never stored

  document.documentElement.classList.add("script");
  document.addEventListener("submit", (event) => {
    event.preventDefault();
    const form = event.target;
    if (form.id === "key") {
      useKey(form);
    } else if (!running.has(form)) {
      request(form);
    }
  });
  document.addEventListener("reset", (event) => {
    event.preventDefault();
    running.get(event.target)?.abort();
  });

  function headers() {
    return key === "" ? {} : { Authorization: "Bearer " + key };
  }

  // useKey replaces the list by that of the principal of a bearer key.
  async function useKey(form) {
    const output = form.querySelector("output");
    key = form.querySelector("input").value.trim();
    tokens.clear();
    try {
      const answer = await fetch("/", { headers: { ...headers(), Accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const main = page.querySelector("main");
      if (main) document.querySelector("main").replaceWith(main);
      show(output, answer.ok ? "" : answer.status + " " + answer.statusText, !answer.ok);
    } catch (error) {
      show(output, String(error), true);
    }
  }

  function show(output, text, failed) {
    output.textContent = text.slice(0, maxShown);
    output.classList.toggle("failed", failed);
  }

  // request makes the request of a form and shows its answer, that of a stream as it arrives.
  async function request(form) {
    const output = form.querySelector("output");
    const abort = new AbortController();
    running.set(form, abort);
    form.classList.add("running");
    let text = "";
    try {
      const section = form.closest("section");
      const options = { method: form.dataset.method, headers: headers(), signal: abort.signal };
      const body = bodyOf(form);
      if (body !== "") {
        options.headers["Content-Type"] = "application/json";
        options.body = body;
      }
      if (section.dataset.instance === "session") {
        options.headers["Hearth-Session"] = await session(section.dataset.object, abort.signal);
      }
      show(output, "…", false);
      const answer = await fetch(path(form, section), options);
      text = answer.status + " " + answer.statusText + "\n";
      show(output, text, !answer.ok);
      const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
      while (reader && text.length < maxShown) {
        const { done, value } = await reader.read();
        if (done) break;
        text += value;
        show(output, text, !answer.ok);
      }
      if (text.length >= maxShown) {
        abort.abort();
        show(output, text.slice(0, maxShown - 40) + "\n… cut off: the page shows no more", false);
      }
    } catch (error) {
      show(output, text + (abort.signal.aborted ? "stopped" : error.message), !abort.signal.aborted);
    } finally {
      running.delete(form);
      form.classList.remove("running");
    }
  }

  async function session(object, signal) {
    if (!tokens.has(object)) {
      const answer = await fetch("/v1/session", { method: "POST", headers: headers(), signal });
      if (!answer.ok) throw new Error("no session: " + answer.status);
      tokens.set(object, answer.headers.get("Hearth-Session"));
    }
    return tokens.get(object);
  }

  function path(form, section) {
    let id = section.dataset.object;
    const instance = section.querySelector("label.key input");
    if (instance) {
      if (!/^[A-Za-z0-9_][A-Za-z0-9_.~-]*$/.test(instance.value)) throw new Error("the key of the instance is missing");
      id += ":" + instance.value;
    }
    return "/v1/objects/" + id + "/" + form.dataset.member;
  }

  // bodyOf returns the JSON of a form's fields. Numbers are sent as they are written: JavaScript would round some.
  function bodyOf(form) {
    const fields = [...form.querySelectorAll("label[data-kind]")].map(read);
    if (form.dataset.method === "GET") return "";
    if (form.dataset.method === "PUT") return fields[0].text ?? "null";
    const kind = (name) => fields.find((field) => field.kind === name)?.text;
    if (kind("all") !== undefined) return kind("all");
    const named = fields.filter((field) => !["all", "rest", "others"].includes(field.kind));
    if (kind("rest") !== undefined) {
      if (kind("others") !== undefined) throw new Error("further and other arguments cannot be in one call");
      return "[" + [...named.map((field) => field.text ?? "null"), ...inner(kind("rest"))].join(",") + "]";
    }
    const members = named.filter((field) => field.text !== undefined)
      .map((field) => JSON.stringify(field.name) + ":" + field.text);
    if (kind("others") !== undefined) members.push(...inner(kind("others")));
    return members.length === 0 ? "" : "{" + members.join(",") + "}";
  }

  // inner returns the text between the brackets of a JSON array or object, as a list of at most one text.
  function inner(text) {
    const elements = text.trim().slice(1, -1).trim();
    return elements === "" ? [] : [elements];
  }

  const brackets = { all: /^\s*[[{]/, rest: /^\s*\[/, others: /^\s*\{/ };

  // read returns a field and its value in JSON; undefined for none.
  function read(label) {
    const { kind, name } = label.dataset;
    const value = label.querySelector("input, select, textarea").value;
    const field = { kind, name };
    if (value.trim() === "" && ("optional" in label.dataset || kind !== "text")) {
      if (!("optional" in label.dataset)) throw new Error(name + ": a value is missing");
      return field;
    }
    field.text = kind === "text" ? JSON.stringify(value) : value.trim();
    if (kind === "integer" && !/^-?(0|[1-9][0-9]*)$/.test(field.text)) throw new Error(name + ": not an integer");
    if (kind === "text") return field;
    let parsed;
    try {
      parsed = JSON.parse(field.text);
    } catch (error) {
      throw new Error(name + ": not JSON (a text needs double quotes): " + error.message);
    }
    if (kind === "number" && typeof parsed !== "number") throw new Error(name + ": not a number");
    if (brackets[kind] && !brackets[kind].test(field.text)) throw new Error(name + ": not an array or object");
    return field;
  }
})();
