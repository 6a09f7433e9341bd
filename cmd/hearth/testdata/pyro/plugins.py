"""A Pyro4 client that calls plugins as it calls scripts. Environment: HEARTH_TCP."""

import os

import Pyro4

Pyro4.config.COMMTIMEOUT = 30.0


def at(name):
    return Pyro4.Proxy("PYRO:%s@%s" % (name, os.environ["HEARTH_TCP"]))


table, checksum = at("demo.table"), at("demo.checksum")
for value in [None, True, 2 ** 70, 1.5, "\u00f6", [1, [None]], (1, 2), {1, 2}, {"a": (1,)}, 3 + 4j]:
    table.put("k", value)
    assert table.get("k") == value, value
assert table.size == 1
try:
    table.get("none")
except KeyError as x:
    assert x.args == ("none",), x.args
else:
    raise SystemExit("get of a missing key raised nothing")
try:
    table.rows
except AttributeError:
    pass
else:
    raise SystemExit("what is not exposed could be read")

batch = Pyro4.batch(table)
batch.put("a", 1)
batch.get("a")
assert list(batch()) == [None, 1]

for serializer in ["serpent", "json", "msgpack"]:
    Pyro4.config.SERIALIZER = serializer
    assert at("demo.table").get("a") == 1

Pyro4.config.SERIALIZER = "msgpack"
sums = at("demo.checksum")
assert sums.sha256(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
assert len(list(sums.chain([b"a", b"b", b"c"]))) == 3
Pyro4.config.SERIALIZER = "serpent"
assert at("demo.counter").add(1) == 1  # and a script beside them
print("ok")
