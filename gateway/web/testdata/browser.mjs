// Calls a host with the module of clients/browser, whose path is the first argument. The second is the host's address.
import assert from "node:assert";

const { Host, CallError } = await import(process.argv[2]);
const host = new Host(process.argv[3]);
assert.equal(await host.call("acme.counter", "add", { k: 5 }), 5);
assert.equal(await host.call("acme.counter", "add", [2], { once: "key-1" }), 7);
assert.equal(await host.call("acme.counter", "add", [2], { once: "key-1" }), 7);
await host.set("acme.counter", "total", 40);
assert.equal(await host.get("acme.counter", "total"), 40);
assert.equal(await host.call("acme.echo", "nothing"), null);
assert.ok((await host.objects()).includes("acme.counter"));
assert.equal((await host.describe("acme.counter")).doc, "Counts.");
const items = [];
for await (const n of host.stream("acme.echo", "count", [3])) items.push(n);
for await (const n of host.stream("acme.echo", "endless")) {
  if (n > 3) break;
}
assert.deepEqual(items, [1, 2, 3]);
const failed = async (promise, want) => {
  const e = await promise.then(() => assert.fail("no error"), (e) => e);
  assert.ok(e instanceof CallError, String(e));
  assert.deepEqual([e.executed, e.code, e.className], want);
};
const all = async (stream) => {
  for await (const _ of stream);
};
await failed(host.call("acme.echo", "fail"), ["yes", "raised", "KeyError"]);
await failed(host.call("other.hidden", "hi"), ["no", "not_found", ""]);
await failed(host.call("acme.echo", "count", [3]), ["yes", "invalid", ""]);
await failed(all(host.stream("acme.echo", "echo", [1])), ["yes", "invalid", ""]);
await failed(all(host.stream("acme.echo", "broken", [1])), ["yes", "raised", "ValueError"]);
await failed(new Host("http://127.0.0.1:1").objects(), ["unknown", "unavailable", ""]);
