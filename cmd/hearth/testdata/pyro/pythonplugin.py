"""A Pyro4 client that calls a plugin written in Python. Environment: HEARTH_TCP."""

import os

import Pyro4

Pyro4.config.COMMTIMEOUT = 30.0
at = "PYRO:demo.snake@" + os.environ["HEARTH_TCP"]

greeter = Pyro4.Proxy(at)
assert greeter.who() == "me", greeter.who()
assert greeter.sum(2 ** 70, 1) == 2 ** 70 + 1
assert list(greeter.count(3)) == [0, 1, 2]
value = {"a": (1, 2, {3}), "b": None, "c": [1.5, b"\x00\xff".decode("latin-1"), 3 + 4j]}
assert greeter.echo(value) == value
assert greeter.forward("demo.counter", "add", 5) == 5
assert greeter.knows("smtp") == len("open sesame")
try:
    greeter.knows("imap")
except KeyError:
    pass
else:
    raise SystemExit("a secret that nobody granted is known")
try:
    greeter.refuse()
except ValueError as x:
    assert x.args == ("no",), x.args
else:
    raise SystemExit("refuse raised nothing")
try:
    greeter.hidden()
except AttributeError:
    pass
else:
    raise SystemExit("what is not marked could be called")
for serializer in ["serpent", "json", "msgpack"]:
    Pyro4.config.SERIALIZER = serializer
    with Pyro4.Proxy(at) as other:
        assert other.echo([1, "x", None, 2.5, {"k": []}]) == [1, "x", None, 2.5, {"k": []}], serializer
        batch = Pyro4.batch(other)
        batch.hello("a")
        batch.sum(1, 2)
        assert list(batch()) == ["Hello, a!", 3]
