import { Host } from "./hearth.js";

const field = (id) => document.getElementById(id);

field("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  field("error").textContent = "";
  const host = new Host(field("url").value, { bearer: field("key").value });
  try {
    const total = await host.call("demo.counter", "add", { k: Number(field("k").value) });
    field("total").textContent = String(total);
  } catch (e) {
    const kind = e.className || e.code || e.name;
    field("error").textContent = `${kind}: ${e.message} (executed: ${e.executed ?? "unknown"})`;
  }
});
