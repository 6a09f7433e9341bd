"""What a real Pyro daemon does, against a running hearth: one row for each function.

Run by conformance_test.go with Pyro4, or with Pyro5 if HEARTH_PYRO5 is the folder of its package. Prints a line of
JSON for each row. Environment: HEARTH_TCP (host:port).
"""

import json
import os
import sys
import traceback

TCP = os.environ["HEARTH_TCP"]
if os.environ.get("HEARTH_PYRO5"):
    sys.path.insert(0, os.environ["HEARTH_PYRO5"])
    import Pyro5.api as api
    import Pyro5.errors as errors
    from Pyro5.api import SerializedBlob, register_class_to_dict, register_dict_to_class
    from Pyro5.client import BatchProxy
    PYRO5 = True
    context = api.current_context
else:
    import Pyro4 as api
    import Pyro4.errors as errors
    from Pyro4.core import SerializedBlob, _BatchProxyAdapter as BatchProxy
    from Pyro4.util import SerializerBase
    register_class_to_dict = SerializerBase.register_class_to_dict
    register_dict_to_class = SerializerBase.register_dict_to_class
    PYRO5 = False
    context = api.current_context

api.config.COMMTIMEOUT = 30.0
SERIALIZERS = ["serpent", "json", "msgpack"]


class Item(object):
    def __init__(self, name, parts=()):
        self.name, self.parts = name, list(parts)

    def __eq__(self, other):
        return type(other) is Item and (self.name, self.parts) == (other.name, other.parts)


class OutOfStock(Exception):
    pass


def item(d):
    return d if isinstance(d, Item) else Item(d["name"], [item(part) for part in d["parts"]])


def out_of_stock(classname, d):
    e = OutOfStock(*d["args"])
    for k, v in d["attributes"].items():
        setattr(e, k, v)
    return e


register_class_to_dict(Item, lambda i: {"__class__": "shop.Item", "name": i.name, "parts": i.parts})
# Pyro's serpent and json convert the outermost dict only.
register_dict_to_class("shop.Item", lambda name, d: item(d))
register_class_to_dict(OutOfStock, lambda e: {
    "__class__": "shop.OutOfStock", "__exception__": True, "args": e.args, "attributes": dict(vars(e))})
register_dict_to_class("shop.OutOfStock", out_of_stock)


def proxy(serializer="serpent", name="demo.conform"):
    p = api.Proxy("PYRO:%s@%s" % (name, TCP))
    p._pyroSerializer = serializer
    return p


def raises(cls, f, *args):
    try:
        f(*args)
    except Exception as e:
        assert type(e) is cls, "%r is not of class %s" % (e, cls)
        return e
    raise AssertionError("no %s" % cls)


ROWS = []


def row(f):
    ROWS.append((f.__name__, f, None))
    return f


def each(f):
    """A row for each serializer."""
    for s in SERIALIZERS:
        ROWS.append(("%s/%s" % (f.__name__, s), f, s))
    return f


@each
def batches_of_builtin_objects(s):
    with proxy(s, "Pyro.NameServer") as ns, proxy(s, "Pyro.Daemon") as d:
        b = BatchProxy(ns)
        b.count()
        b.lookup("demo.conform")
        count, uri = b()
        assert count > 1 and str(uri) == "PYRO:demo.conform@" + TCP, (count, uri)
        b = BatchProxy(d)
        b.ping()
        assert list(b()) == [None]


@each
def class_as_argument(s):
    with proxy(s) as p:
        apple = Item("apple", [Item("core")])
        assert p.class_of(apple) == "shop.Item"
        assert p.echo(apple) == apple
        assert p.echo([{"a": apple}, apple]) == [{"a": apple}, apple]
        assert p.typeof(apple) == "dict"


@each
def class_in_a_batch(s):
    with proxy(s) as p:
        b = BatchProxy(p)
        b.echo(Item("a"))
        b.item("b")
        b.class_of(Item("c"))
        got = list(b())
        assert got == [Item("a"), Item("b", [Item("part")]), "shop.Item"], got


@each
def class_made_in_lua(s):
    with proxy(s) as p:
        assert p.item("pear") == Item("pear", [Item("part")])


@row
def classes_that_end_programs():
    with proxy() as p:
        for name in ["SystemExit", "builtins.SystemExit", "builtins.KeyboardInterrupt", "Pyro4.futures._ExceptionWrapper",
                     "Pyro5.core._ExceptionWrapper"]:
            raises(errors.SerializeError, p.echo, {"__class__": name, "__exception__": True, "args": [], "exception": 1})
        raises(errors.SecurityError, p.echo, {"__class__": "os.__import__"})
        p._pyroRelease()  # the host closes the connection, and Pyro's clients do not
        assert p.echo(1) == 1


@each
def exception_of_a_registered_class(s):
    with proxy(s) as p:
        e = raises(OutOfStock, p.out_of_stock)
        assert e.args == ("no apples",) and e.left == 0 and list(e.wanted) == ["a", 2], vars(e)
        b = BatchProxy(p)
        b.ping()
        b.out_of_stock()
        b.ping()
        results = b()
        assert next(results) == "pong"
        raises(OutOfStock, next, results)


@each
def exception_as_value(s):
    with proxy(s) as p:
        got, = p.exception()
        assert type(got) is OutOfStock and got.args == ("as a value",) and got.left == 3, got


@each
def exception_of_an_unregistered_class(s):
    with proxy(s) as p:
        e = raises(errors.SerializeError, p.unknown_class)
        assert "elsewhere.Unknown" in str(e), e
        assert p.ping() == "pong"


@each
def received_exception_is_raised(s):
    with proxy(s) as p:
        e = OutOfStock("sent", 7)
        e.left = 5
        got = raises(OutOfStock, getattr(p, "raise"), e)
        assert got.args == ("sent", 7) and got.left == 5, vars(got)
        got = raises(KeyError, getattr(p, "raise"), KeyError("k"))
        assert got.args == ("k",)


@row
def impossible_names():
    with proxy() as p:
        p._pyroBind()
        for name in ["_private", "__init__", "__class__", "a.b", ""]:
            raises(AttributeError, p._pyroInvoke, name, (), {})


@each
def returned_proxy(s):
    with proxy(s) as p:
        got = p.other("demo.conform")
        q = got["proxy"]
        assert isinstance(q, api.Proxy), q
        assert str(q._pyroUri) == "PYRO:demo.conform@" + TCP, q._pyroUri
        assert q.ping() == "pong"
        q._pyroRelease()
        q, = p.through("demo.conform")
        assert str(q._pyroUri) == "PYRO:demo.conform@" + TCP, q._pyroUri
        assert q.ping() == "pong"
        q._pyroRelease()


@row
def returned_proxy_of_a_keyed_object():
    with proxy() as p:
        q = p.other("demo.cart:alice")["proxy"]
        assert str(q._pyroUri) == "PYRO:demo.cart:alice@" + TCP, q._pyroUri
        assert q.whose() == "alice"
        q._pyroRelease()


@row
def returned_proxy_gives_no_permission():
    with proxy() as p:
        q = p.other("demo.secret")["proxy"]  # the object may call it, this client may not
        e = raises(errors.CommunicationError, q._pyroBind)
        assert "unknown object" in str(e), e
        q._pyroRelease()


@each
def proxy_as_argument(s):
    with proxy(s) as p, proxy(name="demo.helper") as q:
        assert p.class_of(q).endswith(".Proxy")
        back = p.echo(q)
        assert isinstance(back, api.Proxy) and back._pyroUri == q._pyroUri
        assert p.call_received(q) == "object:demo.conform", "a call by a received proxy is one of the object"
        elsewhere = api.Proxy("PYRO:demo.helper@127.0.0.1:1")
        assert "this host only" in str(raises(RuntimeError, p.call_received, elsewhere))


@each
def annotations(s):
    with proxy(s) as p:
        context.annotations = {"ABCD": b"one", "X-1_": b"\x00\xff"}
        try:
            got = p.seen()["annotations"]
        finally:
            context.annotations = {}
        assert sorted(got) == ["ABCD", "X-1_"], got
        assert p.annotate("RESP", "answer") == "answer"
        assert bytes(context.response_annotations["RESP"]) == b"answer", context.response_annotations
        p.ping()
        assert "RESP" not in context.response_annotations, context.response_annotations
        raises(RuntimeError, p.annotate_and_fail, "RESP")
        p.ping()
        assert "RESP" not in context.response_annotations, context.response_annotations


@row
def annotations_bounded_and_reserved():
    with proxy() as p:
        for id in ["CORR", "HMAC", "STRM", "BLBI", "ONCE", "ABC", "ABCDE", "A B!", ""]:
            raises(RuntimeError, p.annotate, id, "x")
        raises(RuntimeError, p.annotate, "RESP", "x" * 20000)
        context.annotations = {"ABCD": b"x" * 20000}
        try:
            raises(ValueError, p.seen)
        finally:
            context.annotations = {}
        assert p.ping() == "pong"


@row
def annotations_stay_with_their_object():
    with proxy() as p:
        p._pyroHandshake = {"token": "secret"}
        context.annotations = {"ABCD": b"one"}
        try:
            assert p.seen_by_helper() == {"annotations": 0}
        finally:
            context.annotations = {}


@each
def handshake_data(s):
    with proxy(s) as p:
        assert "handshake" not in p.seen()
    for data in [{"token": "t", "n": [1, None]}, "text", 7, [1, 2]]:
        with proxy(s) as p:
            p._pyroHandshake = data
            assert p.seen()["handshake"] == data
    with proxy(s) as p:
        p._pyroHandshake = "x" * 5000
        assert "at most 4096" in str(raises(errors.CommunicationError, p._pyroBind))


@each
def blob(s):
    with proxy(s) as p:
        for info in ["name", 7, ("a", 1, None), b"raw", -2 ** 40]:
            got = p.blob(SerializedBlob(info, [1, {"k": "v"}]))
            want = list(info) if isinstance(info, tuple) and s != "serpent" else info
            if not isinstance(info, bytes):
                assert got["info"] == want, got
            assert got["kind"] == "bytes" and got["format"] == s, got
        import serpent
        data = got["data"]
        if s == "msgpack":
            import msgpack
            assert msgpack.unpackb(data, raw=False) == [1, {"k": "v"}], data
        else:
            data = serpent.tobytes(data)
            assert (serpent.loads(data) if s == "serpent" else json.loads(data)) == [1, {"k": "v"}], data
        assert p.ping() == "pong"


@row
def blob_to_builtin_object():
    with proxy(name="Pyro.Daemon") as d:
        raises(TypeError, d.get_metadata, SerializedBlob("i", "demo.conform"))


@each
def container(s):
    with proxy(s) as p:
        if PYRO5:
            assert len(p) == 3 and p[0] == "a" and list(p) == ["a", "b", "c"]
            assert "b" in p and "z" not in p
            p[1] = "B"
            assert p[1] == "B"
            p[1] = "b"
            raises(IndexError, lambda: p[9])
        assert p.__len__() == 3 and p.__getitem__(2) == "c"
        assert list(p.__iter__()) == ["a", "b", "c"]
        assert p.__contains__("c") is True and p.__contains__("z") is False


@row
def oneways_in_order():
    with proxy() as p:
        for _ in range(4):
            for n in range(50):
                p.note(n)
            assert p.noted() == list(range(50))


@row
def message_too_large():
    with proxy() as p:
        e = raises(errors.MessageTooLargeError, p.echo, "x" * (9 << 20))
        assert "not executed" in str(e), e
        assert p.ping() == "pong"


only = os.environ.get("HEARTH_ROWS")
for name, f, serializer in ROWS:
    if only and only not in name:
        continue
    try:
        f(serializer) if serializer else f()
        print(json.dumps({"row": name}))
    except Exception:
        print(json.dumps({"row": name, "error": traceback.format_exc()}))
