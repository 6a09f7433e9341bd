"""SDK for plugins in Python, which are executables that a Hearth host serves as objects.

    import hearth_plugin as hearth

    @hearth.plugin(mode="call")
    class Greeter:
        "Greets."

        @hearth.method
        def hello(self, name: str):
            "Returns a greeting."
            return "Hello, " + name + "!"

    hearth.serve(Greeter)

See doc/plugins.md, "The Python SDK". It requires Python 3.9, grpcio and cryptography (Debian: python3-grpcio
python3-cryptography) and nothing else: the messages of plugins/rpc/plugin.proto are encoded and decoded here.
"""

import ast
import asyncio
import base64
import collections.abc
import concurrent.futures
import contextlib
import dataclasses
import datetime
import decimal
import enum
import inspect
import itertools
import json
import math
import os
import re
import struct
import sys
import threading
import time
import traceback
import types
import typing
import uuid

COOKIE = ("HEARTH_PLUGIN", "9bd2c5f1a9ab4f0e8f5ae3c1a7d6b2e4")
MAX_MESSAGE = (8 << 20) + (64 << 10)  # bytes; the host's limit
MAX_DEPTH = 64  # nested containers in a payload
THREADS = 64  # concurrent calls; further calls wait

# --- Interface for authors --------------------------------------------------------------


class RemoteError(Exception):
    """An exception of another object: its class without the module, and its arguments."""

    def __init__(self, class_name, *args):
        super().__init__(*args)
        self.class_name = class_name

    def __str__(self):
        return ": ".join([self.class_name, *(str(a) for a in self.args[:1])])


class Raise(Exception):
    """Raises the exception class of this name at the client, for example Raise("KeyError", key).

    Python's own exceptions need no Raise; it is for classes of Pyro ("NamingError")."""

    def __init__(self, class_name, *args):
        super().__init__(*args)
        self.class_name = class_name


class Caller(typing.NamedTuple):
    """The caller of a call."""

    principal: str = ""
    tenant: str = ""  # tenant of a calling object
    way: str = ""  # authentication method
    channel: str = ""  # "unix", "tcp", "tls", "hmac" or "object"
    address: str = ""


class _Member:
    def __init__(self, kind, function, oneway=False):
        self.kind, self.function, self.oneway, self.setter_function = kind, function, oneway, None
        self.doc = inspect.getdoc(function) or ""

    def __set_name__(self, owner, name):
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,254}", name):
            raise TypeError("%r is not callable: a name is a letter followed by letters, digits and '_'" % name)

    def __get__(self, instance, owner=None):
        if instance is None:
            return self
        if self.kind == "attribute":
            return self.function(instance)
        return self.function.__get__(instance, owner)

    def __set__(self, instance, value):
        if self.setter_function is None:
            raise AttributeError("the attribute is read-only")
        self.setter_function(instance, value)

    def setter(self, function):
        """Makes the attribute settable, like property.setter."""
        if self.kind != "attribute":
            raise TypeError("only an attribute has a setter")
        self.setter_function = function
        return self


def method(function):
    """Exposes a method. A generator is an item stream."""
    return _Member("method", function)


def oneway(function):
    """Exposes a method without a reply."""
    return _Member("method", function, oneway=True)


def attribute(function):
    """Exposes an attribute. The function returns its value; @name.setter makes it settable."""
    return _Member("attribute", function)


def plugin(mode="single", name=""):
    """Makes a class an object with the plugin's id, or <plugin>.<name>.

    mode is "single" (one instance, one call at a time), "session" (one instance per connection) or "call" (one instance
    per call, in parallel). An instance's close() is called at its end.
    """
    if mode not in ("single", "session", "call"):
        raise ValueError("the mode is %r; it must be 'single', 'session' or 'call'" % (mode,))
    if name and not re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", name):
        raise ValueError("%r is not an object's name" % (name,))

    def mark(cls):
        cls._hearth_plugin = (mode, name)
        return cls

    return mark


_local = threading.local()


def caller():
    """Returns the caller of the running call."""
    under = getattr(_local, "call", None)
    if under is None:
        return Caller()
    c = under.get("caller") or {}
    return Caller(*(c.get(f, "") for f in Caller._fields))


def log(level, text):
    """Writes a line to the host's log. level is "debug", "info", "warn" or "error"."""
    under, server = getattr(_local, "call", None), getattr(_local, "server", None)
    if server is not None and server.host is not None:
        server.ask("Log", {"object": under["object"], "level": level, "text": str(text)}, LOG_REQUEST, {})


def secret(name):
    """Returns a secret that the policy grants to the called object. Raises KeyError if it is not granted."""
    under, server = getattr(_local, "call", None), getattr(_local, "server", None)
    if server is None or server.host is None:
        raise RuntimeError("secrets are available only during a call, in its thread, under a host")
    reply = server.ask("Secret", {"call": under.get("call", 0), "name": name}, SECRET_REQUEST, SECRET_REPLY)
    if not reply.get("granted"):
        raise KeyError("the policy grants no secret %r to %s" % (name, under["object"]))
    return reply.get("value", "")


def call(object_id, method_name, *args, **kwargs):
    """Calls another object as the principal "object:<id of this object>". Works only during a call."""
    under, server = getattr(_local, "call", None), getattr(_local, "server", None)
    if server is None or server.host is None:
        raise RuntimeError("other objects can be called only during a call, in its thread, under a host")
    server.begin(under)
    server.gate(under)
    payload = (SERPENT_HEAD + serpent_text((object_id, method_name, args, kwargs))).encode("utf-8", "surrogatepass")
    reply = server.ask("Proxy", {"call": under.get("call", 0), "from": under["object"], "object": object_id, "kind": INVOKE,
                                 "method": method_name, "serializer": "serpent", "payload": payload}, PROXY_REQUEST, CALL_REPLY)
    failed = reply.get("failure")
    if failed is not None:
        raise RemoteError(failed.get("class") or "RuntimeError", failed.get("message", ""))
    value = decode("serpent", reply.get("payload", b""))
    if reply.get("exception"):
        value = value if isinstance(value, dict) else {}
        raise RemoteError(str(value.get("__class__", "RuntimeError")).rpartition(".")[2], *value.get("args", ()))
    return value


class proxy:
    """Another object: proxy("acme.ledger").book(3) is call("acme.ledger", "book", 3)."""

    def __init__(self, object_id):
        self._id = object_id

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args, **kwargs: call(self._id, name, *args, **kwargs)


class StoreError(Raise):
    """The error of an operation of the store. class_name is the class that the client gets, for example "StoreFull"."""


class _Buffer:
    """The writes of a call that are not committed."""

    def __init__(self):
        self.writes, self.values, self.last, self.versions, self.bytes, self.inside = [], [], {}, {}, 0, False

    def add(self, write, doc):
        size = len(write["key"].encode("utf-8", "surrogatepass")) + len(write.get("value", b""))
        if len(self.writes) >= MAX_WRITES or self.bytes + size > MAX_BATCH:
            raise ValueError("store: more than %d writes or %d bytes in one call" % (MAX_WRITES, MAX_BATCH))
        self.last[write["key"]] = len(self.writes)
        self.writes.append(write)
        self.values.append(doc)
        self.bytes += size

    def truncate(self, n):
        writes, values = self.writes[:n], self.values[:n]
        self.writes, self.values, self.last, self.bytes = [], [], {}, 0
        for write, doc in zip(writes, values):
            self.add(write, doc)

    def clear(self):
        self.writes, self.values, self.last, self.versions, self.bytes = [], [], {}, {}, 0


MAX_WRITES, MAX_BATCH, MAX_PAGE = 10_000, 8 << 20, 100
MAX_INTEGER = 1 << 53  # integers that increment changes are exact in all languages up to it
PUT, DELETE, INCREMENT = 1, 2, 3
BEGUN, DONE, DROPPED, MAX_ANSWER = 1, 2, 3, 64 << 10  # states of an answer, bytes of a stored reply


class _Store:
    """The durable state of the object of the running call: keys with values, with the guarantees of hearth.store in Lua.

    The writes of a call are one batch, which is on disk before the reply, an item, or a call of another object leaves the
    plugin. A call that raises drops its writes since the last of these points. In modes "session" and "call", calls
    overlap: increment, transaction and put with if_version commit at once, with the writes before them.
    The functions work in the thread of a call only."""

    def _under(self):
        under, server = getattr(_local, "call", None), getattr(_local, "server", None)
        if server is None or server.host is None:
            raise RuntimeError("the store is available only during a call, in its thread, under a host")
        return under, server, under.setdefault("buffer", _Buffer())

    def get(self, key, default=None):
        """Returns the value of a key, with the writes of the call."""
        under, server, b = self._under()
        _check_key(key)
        doc = b.values[b.last[key]] if key in b.last else self._read(key)[0]
        return default if doc is None else load_value(doc)

    def version(self, key):
        """Returns the version of the last committed value of a key, 0 if it is missing."""
        under, server, b = self._under()
        _check_key(key)
        return b.versions[key] if key in b.versions else self._read(key)[1]

    def put(self, key, value, if_version=None, ttl=None):
        """Writes a key. ttl is the time until it expires, in seconds. Returns False, and writes nothing, if the last
        committed value of the key does not have the version if_version."""
        under, server, b = self._under()
        _check_key(key)
        write = {"op": PUT, "key": key, "value": dump_value(value)}
        if ttl is not None:
            if not 0 < ttl <= 100 * 365 * 24 * 3600:
                raise ValueError("store: ttl must be seconds, more than 0 and at most 100 years")
            write["ttl_millis"] = max(1, int(ttl * 1000))
        if if_version is not None:
            if isinstance(if_version, bool) or not isinstance(if_version, int) or not 0 <= if_version <= MAX_INTEGER:
                raise ValueError("store: if_version must be a version that version() has returned")
            write["if_version"] = if_version
            if not self._buffered(under, b):
                try:
                    self._commit_with(write, write["value"])
                except StoreError as e:
                    if e.class_name == "StoreConflict":
                        return False
                    raise
                return True
            if self.version(key) != if_version:
                return False
        b.add(write, write["value"])
        return True

    def delete(self, key):
        """Removes a key."""
        under, server, b = self._under()
        _check_key(key)
        b.add({"op": DELETE, "key": key}, None)

    def increment(self, key, n=1):
        """Adds an integer to that of a key, 0 if the key is missing, and returns the sum, of at most 2^53."""
        under, server, b = self._under()
        _check_key(key)
        if isinstance(n, bool) or not isinstance(n, int) or abs(n) > MAX_INTEGER:
            raise ValueError("store: an integer of at most 2^53 is required")
        write = {"op": INCREMENT, "key": key, "delta": n}
        if not self._buffered(under, b):
            return _signed(self._commit_with(write, None)[-1])
        if key in b.last:
            doc = b.values[b.last[key]]
        else:
            doc, write["if_version"] = self._read(key)
        old = 0 if doc is None else load_value(doc)
        if isinstance(old, bool) or not isinstance(old, int) or abs(old) > MAX_INTEGER or abs(old + n) > MAX_INTEGER:
            raise TypeError("store: the value of %r is not an integer of at most 2^53; not stored" % key)
        b.add(write, dump_value(old + n))
        return old + n

    def list(self, prefix="", after="", before="", reverse=False, limit=None):
        """Yields the keys of a range with their values, in the order of their bytes, with the writes of the call."""
        under, server, b = self._under()
        left = math.inf if limit is None else limit
        while left > 0:
            under, server, b = self._under()
            reply = server.store(under, {"list": {"prefix": prefix, "after": after, "before": before, "reverse": reverse,
                                                  "limit": MAX_PAGE}})
            items = reply.get("items", [])
            docs = {it.get("key", ""): it.get("value", b"") for it in items}
            more = reply.get("more", False) and bool(items)
            low, high = after, before
            if more:  # the page covers the range up to its last key
                if reverse:
                    low = before = items[-1]["key"]
                else:
                    high = after = items[-1]["key"]
            for key, at in b.last.items():
                name, inside = key.encode(), key.startswith(prefix)
                if more and not reverse:
                    inside = inside and name <= high.encode()
                elif high:
                    inside = inside and name < high.encode()
                if more and reverse:
                    inside = inside and name >= low.encode()
                elif low and not (more and reverse):
                    inside = inside and (name > low.encode())
                if inside or key in docs:
                    docs[key] = b.values[at]
            for key in sorted((k for k, doc in docs.items() if doc is not None), key=str.encode, reverse=reverse):
                yield key, load_value(docs[key])
                left -= 1
                if left <= 0:
                    return
            if not more:
                return

    def transaction(self, function):
        """Runs a function and returns its result. The transactions of an object run one at a time, and no other call of
        the object commits meanwhile. If the function raises, its writes are dropped. It cannot call other objects."""
        under, server, b = self._under()
        if b.inside:
            raise RuntimeError("a transaction cannot be inside another one")
        mark, exclusive = len(b.writes), under.get("exclusive", False)
        with contextlib.nullcontext() if exclusive else server.commits(under["object"]):
            b.inside = True
            if not exclusive:
                b.versions = {}
            try:
                result = function()
                if not exclusive and b.writes:
                    checks = [{"key": k, "version": v} for k, v in b.versions.items()]
                    server.store(under, {"commit": {"checks": checks, "writes": b.writes}})
                    b.clear()
                return result
            except BaseException:
                b.truncate(mark)
                raise
            finally:
                b.inside = False

    def _buffered(self, under, b):
        return under.get("exclusive", False) or b.inside

    def _read(self, key):
        """Returns the document and the version of a committed key, (None, 0) for a missing one."""
        under, server, b = self._under()
        items = server.store(under, {"get": {"key": key}}).get("items", [{}])
        version = items[0].get("version", 0)
        if len(b.versions) >= 1000 and not b.inside:
            b.versions = {}
        b.versions[key] = version
        return (items[0].get("value", b"") if version else None), version

    def _commit_with(self, write, doc):
        """Commits the writes of the call with one more. After an error the buffer is unchanged."""
        under, server, b = self._under()
        mark = len(b.writes)
        b.add(write, doc)
        try:
            with server.commits(under["object"]):
                reply = server.store(under, {"commit": {"writes": b.writes}})
        except Exception:
            b.truncate(mark)
            raise
        b.clear()
        return reply.get("integers", [])


store = _Store()


def _check_key(key):
    if not isinstance(key, str):
        raise TypeError("store: a key is a text, not %s" % type(key).__name__)
    if not 1 <= len(key.encode()) <= 512 or "\0" in key:
        raise ValueError("store: a key has 1 to 512 bytes of UTF-8 without U+0000")


def _signed(n):
    return n - (1 << 64) if n >> 63 else n


class _NotStored(Exception):
    """The commit of a call has failed: its instance ends."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def serve(*classes):
    """Runs the plugin in this process, which the host started. Returns when the host ends the plugin."""
    if os.environ.get(COOKIE[0]) != COOKIE[1]:
        sys.exit("This is a plugin: a Hearth host starts it. See doc/plugins.md.")
    if "1" not in os.environ.get("PLUGIN_PROTOCOL_VERSIONS", "1").split(","):
        sys.exit("hearth_plugin: the host does not speak version 1 of the plugin protocol")
    server = Server(classes)
    sys.stdout.reconfigure(line_buffering=True)
    asyncio.run(server.run())
    sys.stdout.flush()
    os._exit(0)  # do not wait for threads with calls that hang


# --- Messages: the part of protobuf that plugin.proto and go-plugin use -------------------
# A message is a dict. Its layout is {number: (name, type)}. A type is "int", "bool", "text", "bytes" or the layout of a
# message; a list of one type is a repeated field.

NOTHING = {}
MEMBER = {1: ("name", "text"), 2: ("doc", "text"), 3: ("method", "bool"), 4: ("oneway", "bool"), 5: ("get", "bool"), 6: ("set", "bool"),
          7: ("signature", "bytes")}
OBJECT = {1: ("name", "text"), 2: ("doc", "text"), 3: ("instance", "text"), 4: ("members", [MEMBER]), 5: ("types", "bytes")}
DESCRIBE_REQUEST = {1: ("id", "text"), 2: ("host", "int")}
DESCRIBE_REPLY = {1: ("objects", [OBJECT]), 2: ("supports", ["text"])}
CALLER = {i + 1: (f, "text") for i, f in enumerate(Caller._fields)}
CALL_REQUEST = {1: ("call", "int"), 2: ("object", "text"), 3: ("kind", "int"), 4: ("method", "text"), 5: ("batch", ["text"]),
                6: ("oneway", "bool"), 7: ("traceback", "bool"), 8: ("caller", CALLER), 9: ("conn", "int"), 10: ("protocol", "int"),
                11: ("serializer", "text"), 12: ("correlation", "bytes"), 13: ("deadline_micros", "int"), 14: ("payload", "bytes"),
                15: ("once", "bool")}
FAILURE = {1: ("code", "int"), 2: ("message", "text"), 3: ("class", "text")}
CALL_REPLY = {1: ("payload", "bytes"), 2: ("exception", "bool"), 3: ("stream", "int"), 4: ("end", "bool"), 5: ("failure", FAILURE)}
NEXT_REQUEST = {1: ("stream", "int"), 2: ("call", CALL_REQUEST)}
STREAM_REQUEST = {1: ("stream", "int")}
CONN_REQUEST = {1: ("conn", "int")}
SECRET_REQUEST = {1: ("call", "int"), 2: ("name", "text")}
SECRET_REPLY = {1: ("granted", "bool"), 2: ("value", "text")}
LOG_REQUEST = {1: ("object", "text"), 2: ("level", "text"), 3: ("text", "text")}
STORE_ITEM = {1: ("key", "text"), 2: ("value", "bytes"), 3: ("version", "int")}
STORE_GET = {1: ("key", "text")}
STORE_LIST = {1: ("prefix", "text"), 2: ("after", "text"), 3: ("before", "text"), 4: ("reverse", "bool"), 5: ("limit", "int")}
STORE_CHECK = {1: ("key", "text"), 2: ("version", "int")}
STORE_WRITE = {1: ("op", "int"), 2: ("key", "text"), 3: ("value", "bytes"), 4: ("delta", "int"), 5: ("ttl_millis", "int"),
               6: ("if_version", "int")}
STORE_ANSWER = {1: ("state", "int"), 2: ("exception", "bool"), 3: ("payload", "bytes")}
STORE_COMMIT = {1: ("checks", [STORE_CHECK]), 2: ("writes", [STORE_WRITE]), 3: ("answer", STORE_ANSWER)}
STORE_REQUEST = {1: ("call", "int"), 2: ("get", STORE_GET), 3: ("list", STORE_LIST), 4: ("commit", STORE_COMMIT)}
STORE_REPLY = {1: ("failure", FAILURE), 2: ("items", [STORE_ITEM]), 3: ("more", "bool"), 4: ("integers", ["int"])}
PROXY_REQUEST = {1: ("call", "int"), 2: ("from", "text"), 3: ("object", "text"), 4: ("kind", "int"), 5: ("method", "text"),
                 6: ("serializer", "text"), 7: ("payload", "bytes")}
HEALTH_REQUEST = {1: ("service", "text")}
HEALTH_REPLY = {1: ("status", "int")}
CONN_INFO = {1: ("service_id", "int"), 2: ("network", "text"), 3: ("address", "text")}
INVOKE, GET, SET, BATCH = 1, 2, 3, 4


def varint(n):
    out, n = bytearray(), n & 0xFFFFFFFFFFFFFFFF
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def pack(message, layout):
    """Encodes a message."""
    out = []
    for number, (name, kind) in layout.items():
        value = message.get(name)
        if value is None:
            continue
        for v in value if isinstance(kind, list) else [value]:
            of = kind[0] if isinstance(kind, list) else kind
            if of in ("int", "bool"):
                out.append(varint(number << 3) + varint(int(v)))
                continue
            if isinstance(of, dict):
                v = pack(v, of)
            elif of == "text":
                v = v.encode("utf-8", "replace")
            out += varint(number << 3 | 2), varint(len(v)), v
    return b"".join(out)


def unpack(data, layout):
    """Decodes a message. Unknown fields are skipped."""
    out, at = {}, 0

    def number():
        nonlocal at
        n = shift = 0
        while True:
            b = data[at]
            at += 1
            n |= (b & 0x7F) << shift
            if b < 0x80:
                return n & 0xFFFFFFFFFFFFFFFF
            shift += 7
            if shift > 63:
                raise ValueError("a number of more than 64 bits")

    while at < len(data):
        key = number()
        name, kind = layout.get(key >> 3, (None, None))
        of = kind[0] if isinstance(kind, list) else kind
        if key & 7 == 0:
            v = number()
            v = bool(v) if of == "bool" else v
        elif key & 7 == 2 and of in ("int", "bool"):  # packed
            size = number()
            end, v = at + size, []
            if end > len(data):
                raise ValueError("the message is cut off")
            while at < end:
                v.append(number())
            if isinstance(kind, list):
                out.setdefault(name, []).extend(v)
            continue
        elif key & 7 in (1, 2, 5):
            size = number() if key & 7 == 2 else 8 if key & 7 == 1 else 4
            v = data[at:at + size]
            if len(v) != size:
                raise ValueError("the message is cut off")
            at += size
            if isinstance(of, dict):
                v = unpack(v, of)
            elif of == "text":
                v = v.decode("utf-8")
        else:
            raise ValueError("wire type %d" % (key & 7))
        if name is None:
            continue
        if isinstance(kind, list):
            out.setdefault(name, []).append(v)
        else:
            out[name] = v
    return out


# --- Values: serpent, json and msgpack in Pyro's variants ---------------------------------

SERPENT_HEAD = "# serpent utf-8 python3.2\n"
MAX_COLLISIONS = 8  # different keys of a dict or set with the same hash
MAX_NUMBER_KEYS = 10_000  # keys of dicts and sets in one payload that are not texts or bytes
MAX_ELEMENTS = 1_000_000  # values in all containers of a payload together, keys included
LARGE = 256 << 10  # bytes of a payload that is decoded alone
WEB = "http/json"  # serializer of HTTP clients
MAX_DIGITS = 4300  # digits of an integer: the time to convert it grows with their square

# Each expression takes time in proportion to the text, for any content: an unterminated text extends to the end of the
# input.
_text = re.compile(r"""[bu]?(?:'[^'\\]*(?:\\.[^'\\]*)*'?|"[^"\\]*(?:\\.[^"\\]*)*"?)""", re.S)
_json_text = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?', re.S)
_number = re.compile(r"(?<![\w.])(?:0[xX][0-9a-fA-F]+|(?:[0-9][0-9_]*\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[jJ]?)(?![\w.])")
_constant = re.compile(r"\b(?:True|False|None)\b")
_brackets = re.compile(r"[\[\](){}]")
# Matches input that serpent does not produce. Texts are replaced by ", numbers and constants by 0. It matches other
# characters, adjacent values, and operators except a sign and the + of a complex number.
_foreign = re.compile(r"""[^\s0",:()\[\]{}+-]|[0")\]}]\s*[0"(\[{]|[+-]\s*[^0\s]|0\s*[+-]\s*0\s*[+-]|[")\]}]\s*[+-]|[+-]\s*$""")


def dump_value(v):
    """Returns the document of a value of the store: JSON, with tags for the types that JSON lacks."""
    return _dump(v, 0).encode("utf-8")


def _json_string(s):
    try:
        s.encode("utf-8")
        return json.dumps(s, ensure_ascii=False)
    except UnicodeEncodeError:  # lone surrogates
        return json.dumps(s)


def _finite(v):
    if not math.isfinite(v):
        raise TypeError("store: a number that is not finite cannot be stored here")
    return repr(float(v))


def _dump(v, depth):
    if depth > MAX_DEPTH:
        raise TypeError("store: the value is nested deeper than %d" % MAX_DEPTH)
    if v is None or isinstance(v, bool):
        return {None: "null", True: "true", False: "false"}[v]
    if isinstance(v, int):
        return str(int(v)) if -(1 << 63) <= v < 1 << 63 else '{"$int": "%d"}' % v
    if isinstance(v, float):
        return repr(float(v)) if math.isfinite(v) else '{"$float": "%s"}' % v
    if isinstance(v, str):
        return _json_string(v)
    if isinstance(v, (bytes, bytearray, memoryview)):
        return '{"$bytes": "%s"}' % base64.b64encode(bytes(v)).decode()
    if isinstance(v, complex):
        return '{"$complex": [%s, %s]}' % (_finite(v.real), _finite(v.imag))
    if isinstance(v, datetime.datetime):
        aware = v if v.tzinfo else v.replace(tzinfo=datetime.timezone.utc)
        return '{"$datetime": %s}' % _finite(aware.timestamp())
    if isinstance(v, datetime.date):
        return '{"$date": %d}' % v.toordinal()
    if isinstance(v, (list, tuple, set, frozenset)):
        text = "[" + ", ".join(_dump(e, depth + 1) for e in v) + "]"
        if isinstance(v, list):
            return text
        return '{"$%s": %s}' % ("tuple" if isinstance(v, tuple) else "set", text)
    if isinstance(v, dict):
        return "{" + ", ".join(_dump_key(k) + ": " + _dump(e, depth + 1) for k, e in v.items()) + "}"
    raise TypeError("store: a value of type %s cannot be stored" % type(v).__name__)


def _dump_key(k):
    if isinstance(k, str):
        return _json_string("$" + k if k.startswith("$") else k)
    if k is None:
        return '"$null:"'
    if isinstance(k, bool):
        return '"$bool:%s"' % str(k).lower()
    if isinstance(k, int):
        return '"$int:%d"' % k
    if isinstance(k, float):
        return '"$float:%s"' % k
    if isinstance(k, bytes):
        return '"$bytes:%s"' % base64.b64encode(k).decode()
    raise TypeError("store: a key of type %s cannot be stored" % type(k).__name__)


_TAGS = {
    "$bytes": lambda v: base64.b64decode(v, validate=True), "$int": int, "$float": float, "$complex": lambda v: complex(*v),
    "$datetime": lambda v: datetime.datetime.fromtimestamp(v, datetime.timezone.utc), "$date": datetime.date.fromordinal,
    "$tuple": tuple, "$set": set,
}
_KEYS = {"null": lambda s: None, "bool": lambda s: s == "true", "int": int, "float": float,
         "bytes": lambda s: base64.b64decode(s, validate=True)}


def _load_key(k):
    if not k.startswith("$"):
        return k
    if k.startswith("$$"):
        return k[1:]
    kind, _, text = k[1:].partition(":")
    return _KEYS[kind](text)


def _load_pairs(pairs):
    if len(pairs) == 1 and pairs[0][0] in _TAGS:
        return _TAGS[pairs[0][0]](pairs[0][1])
    return {_load_key(k): v for k, v in pairs}


def load_value(doc):
    """Returns the value of a document of the store."""
    return json.loads(doc.decode("utf-8"), object_pairs_hook=_load_pairs)


def check_json(text):
    check_depth(_json_text.sub("", text))


def check_depth(skeleton):
    """Rejects nesting that exceeds the recursion of the parsers, and more elements than the host's decoders accept."""
    if skeleton.count(",") + skeleton.count(":") + skeleton.count("[") + skeleton.count("(") + skeleton.count("{") > MAX_ELEMENTS:
        raise TooLarge("more than %d elements" % MAX_ELEMENTS)
    depth = 0
    for m in _brackets.finditer(skeleton):
        if m.group() in "[({":
            depth += 1
            if depth > MAX_DEPTH + 2:
                raise ValueError("more than %d nested containers" % MAX_DEPTH)
        else:
            depth -= 1


def parse_serpent(text):
    """Returns the syntax tree of serpent, which has literals only. Other Python syntax is rejected before parsing:
    otherwise only the parser's own limits would bound it."""
    if text.startswith("#"):
        text = text.partition("\n")[2]
    skeleton = _constant.sub("0", _number.sub("0", _text.sub('"', text)))
    if _foreign.search(skeleton):
        raise ValueError("not serpent")
    check_depth(skeleton)
    tree, seen = ast.parse(text.lstrip(" \t"), mode="eval"), _Keys()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Dict, ast.Set)):
            keys = node.keys if isinstance(node, ast.Dict) else node.elts
            seen.check(ast.literal_eval(k) for k in keys if not _seeded(k))
    return tree


def _seeded(node):
    """Reports whether a key's hash depends on a secret, so that clients cannot choose it."""
    if any(isinstance(n, (ast.Dict, ast.Set, ast.List)) for n in ast.walk(node)):
        raise TypeError("a key that cannot be hashed")
    return isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes))


class _Keys:
    """Bounds the keys of one payload. Python hashes numbers, and tuples of them, without a secret. So a client can
    choose keys with the same hash, or keys whose hashes lead to the same slots of the table; then each key is compared
    with all previous ones. This class detects the first case. It cannot detect the second, so it limits the number of
    such keys."""

    def __init__(self):
        self.left, self.elements = MAX_NUMBER_KEYS, 0

    def check(self, keys):
        same = {}
        for key in keys:
            if isinstance(key, (str, bytes)):
                continue
            self.left -= 1
            if self.left < 0:
                raise ValueError("more than %d keys of dicts and sets that are not texts" % MAX_NUMBER_KEYS)
            known = same.setdefault(hash(key), [])
            if key not in known:
                known.append(key)
                if len(known) > MAX_COLLISIONS:
                    raise ValueError("more than %d keys of a dict have one hash" % MAX_COLLISIONS)


def restore(v):
    """Replaces the dicts that represent bytes and nan by their values."""
    if isinstance(v, dict):
        if v.keys() == {"data", "encoding"} and v["encoding"] == "base64" and isinstance(v["data"], str):
            return base64.b64decode(v["data"], validate=True)
        if v.keys() == {"__class__", "value"} and v["__class__"] == "float" and v["value"] == "nan":
            return math.nan
        return {restore(k): restore(e) for k, e in v.items()}
    if isinstance(v, (list, tuple)):
        return type(v)(restore(e) for e in v)
    return v


def decode(serializer, payload):
    """Returns the value of a payload. It executes no part of the payload. A large payload is decoded alone: the tree of a
    document takes many times its size."""
    if len(payload) > LARGE:
        with _decoding:
            return _decode(serializer, payload)
    return _decode(serializer, payload)


def _decode(serializer, payload):
    if serializer == "msgpack":
        value, at = _unpack_msgpack(payload, 0, 0, _Keys())
        if at != len(payload):
            raise ValueError("extra data after the value")
        return value
    text = payload.decode("utf-8", "surrogatepass")
    if serializer == "json":
        check_json(text)
        return restore(json.loads(text))
    if serializer == WEB:
        return _decode_web(payload)
    return restore(ast.literal_eval(parse_serpent(text)))


class TooLarge(ValueError):
    """A payload that exceeds a limit."""


_decoding = threading.Lock()


def _unique(pairs):
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError("a key occurs twice")
    return out


def _finite_float(text):
    v = float(text)
    if not math.isfinite(v):
        raise ValueError("a number outside the range of a float")
    return v


def _short_int(text):
    if len(text) > MAX_DIGITS:
        raise ValueError("an integer of more than %d digits" % MAX_DIGITS)
    return int(text)


def _not_json(text):
    raise ValueError("%s is not JSON" % text)


def _decode_web(payload):
    """Returns the value of a document of an HTTP client. It is strict, so that no other program reads it differently."""
    text = payload.decode("utf-8")
    check_json(text)
    v = json.loads(text, object_pairs_hook=_unique, parse_float=_finite_float, parse_int=_short_int, parse_constant=_not_json)
    if "\\u" in text:
        json.dumps(v, ensure_ascii=False).encode("utf-8")  # a lone surrogate is an error
    return _restore_bytes(v)


def _restore_bytes(v):
    if isinstance(v, dict):
        if v.keys() == {"data", "encoding"} and v["encoding"] == "base64" and isinstance(v["data"], str):
            return base64.b64decode(v["data"], validate=True)
        return {k: _restore_bytes(e) for k, e in v.items()}
    return [_restore_bytes(e) for e in v] if isinstance(v, list) else v


def _decode_web_call(kind, payload):
    """Returns the arguments of a call of an HTTP client: a list, a dict of keyword arguments, the value of an attribute."""
    if kind in (GET, SET):
        return ["", *([decode(WEB, payload)] if kind == SET else [])], {}
    v = decode(WEB, payload) if payload.strip() else []
    if not isinstance(v, (list, dict)):
        raise TypeError("the body of a call is a JSON object of keyword arguments, an array of positional arguments, or empty")
    return ([], v) if isinstance(v, dict) else (v, {})


def decode_call(serializer, payload, kind=1):
    """Returns the positional and keyword arguments of a call."""
    if serializer == WEB:
        return _decode_web_call(kind, payload)
    v = decode(serializer, payload)
    if isinstance(v, dict):
        args, kwargs = v["params"], v["kwargs"]
    else:
        _, _, args, kwargs = v
    kwargs = kwargs or {}
    if not isinstance(args, (list, tuple)) or not isinstance(kwargs, dict) or not all(isinstance(k, str) for k in kwargs):
        raise TypeError("a call is a list of arguments and a dict of keyword arguments")
    return list(args), kwargs


def encode(serializer, v):
    """Encodes one value. Raises TypeError for values that clients cannot read."""
    if serializer == "msgpack":
        out = []
        _pack_msgpack(v, out, 0)
        return b"".join(out)
    if serializer == "json":
        return json.dumps(_json_value(v, 0), ensure_ascii=False).encode("utf-8", "surrogatepass")
    if serializer == WEB:
        return json.dumps(_json_value(v, 0), ensure_ascii=False, allow_nan=False).encode("utf-8")
    return (SERPENT_HEAD + serpent_text(v)).encode("utf-8", "surrogatepass")


def _scalar(v):
    """Returns the text of types that every serializer sends as text, and the dict of a dataclass."""
    if dataclasses.is_dataclass(v) and not isinstance(v, type):
        return {f.name: getattr(v, f.name) for f in dataclasses.fields(v)}
    if isinstance(v, (uuid.UUID, decimal.Decimal)):
        return str(v)
    if isinstance(v, (datetime.date, datetime.time)):
        return v.isoformat()
    if isinstance(v, datetime.timedelta):
        return v.total_seconds()
    raise TypeError("a %s cannot be sent: convert it to plain values" % type(v).__name__)


def _deeper(depth):
    if depth >= MAX_DEPTH:
        raise TypeError("more than %d nested containers" % MAX_DEPTH)
    return depth + 1


def serpent_text(v, depth=0):
    if isinstance(v, enum.Enum):
        v = v.value
    if v is None or isinstance(v, (bool, str)):
        return repr(v) if not isinstance(v, str) else repr(str(v)).replace("\x00", "\\x00")
    if isinstance(v, int):
        return int.__repr__(v)
    if isinstance(v, float):
        if math.isnan(v):
            return "{'__class__':'float','value':'nan'}"
        return repr(float(v)) if math.isfinite(v) else "1e30000" if v > 0 else "-1e30000"
    if isinstance(v, complex):
        if math.isnan(v.real) or math.isnan(v.imag):
            raise TypeError("complex numbers with nan cannot be sent")
        im = serpent_text(v.imag)
        return "(%s%s%sj)" % (serpent_text(v.real), "" if im[0] == "-" else "+", im)
    if isinstance(v, (bytes, bytearray, memoryview)):
        return "{'data': '%s', 'encoding': 'base64'}" % base64.b64encode(v).decode()
    depth = _deeper(depth) if isinstance(v, (list, tuple, set, frozenset, dict)) else depth
    if isinstance(v, list):
        return "[" + ",".join(serpent_text(e, depth) for e in v) + "]"
    if isinstance(v, (set, frozenset)) and v:
        for e in v:
            _key(e)
        return "{" + ",".join(serpent_text(e, depth) for e in v) + "}"
    if isinstance(v, (tuple, set, frozenset)):  # an empty set has no literal
        return "(" + ",".join(serpent_text(e, depth) for e in v) + (",)" if len(v) == 1 else ")")
    if isinstance(v, dict):
        for k in v:
            _key(k)
        return "{" + ",".join(serpent_text(k, depth) + ":" + serpent_text(e, depth) for k, e in v.items()) + "}"
    return serpent_text(_scalar(v), _deeper(depth))


def _key(k):
    if isinstance(k, (bytes, frozenset)) or isinstance(k, float) and math.isnan(k):
        raise TypeError("serpent: a %s as a key or in a set cannot be read" % type(k).__name__)
    if isinstance(k, tuple):
        for e in k:
            _key(e)


def _json_value(v, depth):
    if isinstance(v, enum.Enum):
        v = v.value
    if v is None or isinstance(v, (bool, int, float, str)):
        return v
    if isinstance(v, (bytes, bytearray, memoryview)):
        return {"data": base64.b64encode(v).decode(), "encoding": "base64"}
    if isinstance(v, (list, tuple, set, frozenset)):
        return [_json_value(e, _deeper(depth)) for e in v]
    if isinstance(v, dict):
        return {(k if k is None or isinstance(k, (bool, int, float, str)) else _scalar(k)): _json_value(e, _deeper(depth)) for k, e in v.items()}
    return _json_value(_scalar(v), _deeper(depth))


_EPOCH = datetime.datetime(1970, 1, 1)


def _pack_msgpack(v, out, depth):
    def sized(n, fix, limit, codes):
        if fix is not None and n < limit:
            return bytes([fix | n])
        for size, code in codes:
            if n < 1 << 8 * size:
                return bytes([code]) + n.to_bytes(size, "big")
        raise TypeError("too large for msgpack")

    if isinstance(v, enum.Enum):
        v = v.value
    if v is None or isinstance(v, bool):
        out.append(b"\xc0" if v is None else b"\xc3" if v else b"\xc2")
    elif isinstance(v, int):
        if 0 <= v < 1 << 64:
            out.append(sized(v, 0, 0x80, ((1, 0xCC), (2, 0xCD), (4, 0xCE), (8, 0xCF))))
        elif -(1 << 63) <= v < 0:
            out.append(struct.pack("b", v) if v >= -32 else b"\xd3" + struct.pack(">q", v))
        else:
            text = b"%d" % v
            out += sized(len(text), None, 0, ((1, 0xC7), (2, 0xC8))), b"\x31", text
    elif isinstance(v, float):
        out.append(b"\xcb" + struct.pack(">d", v))
    elif isinstance(v, complex):
        out.append(b"\xd8\x30" + struct.pack("<dd", v.real, v.imag))
    elif isinstance(v, str):
        text = v.encode("utf-8")
        out += sized(len(text), 0xA0, 32, ((1, 0xD9), (2, 0xDA), (4, 0xDB))), text
    elif isinstance(v, (bytes, bytearray, memoryview)):
        v = bytes(v)
        out += sized(len(v), None, 0, ((1, 0xC4), (2, 0xC5), (4, 0xC6))), v
    elif isinstance(v, datetime.datetime):
        clock = v.replace(tzinfo=None)  # the wall clock time without its zone, as in Pyro
        out.append(b"\xd7\x32" + struct.pack("<d", (clock - _EPOCH).total_seconds()))
    elif isinstance(v, datetime.date):
        out.append(b"\xd7\x33" + struct.pack("<q", v.toordinal()))
    elif isinstance(v, (list, tuple, set, frozenset)):
        out.append(sized(len(v), 0x90, 16, ((2, 0xDC), (4, 0xDD))))
        for e in v:
            _pack_msgpack(e, out, _deeper(depth))
    elif isinstance(v, dict):
        out.append(sized(len(v), 0x80, 16, ((2, 0xDE), (4, 0xDF))))
        for k, e in v.items():
            if not isinstance(k, (str, bytes)):
                raise TypeError("msgpack: only texts and bytes can be keys")
            _pack_msgpack(k, out, depth)
            _pack_msgpack(e, out, _deeper(depth))
    else:
        _pack_msgpack(_scalar(v), out, _deeper(depth))


_NUMBERS = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}


def _unpack_msgpack(data, at, depth, seen):
    def take(n):
        nonlocal at
        if at + n > len(data):
            raise ValueError("the payload is cut off")
        at += n
        return data[at - n:at]

    def size(n):
        return int.from_bytes(take(n), "big")

    if depth > MAX_DEPTH + 2:
        raise ValueError("more than %d nested containers" % MAX_DEPTH)
    seen.elements += 1
    if seen.elements > MAX_ELEMENTS:
        raise TooLarge("more than %d elements" % MAX_ELEMENTS)
    c = take(1)[0]
    if c < 0x80:
        return c, at
    if c >= 0xE0:
        return c - 256, at
    if c in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[c], at
    if c in _NUMBERS:
        form = _NUMBERS[c]
        return struct.unpack(form, take(struct.calcsize(form)))[0], at
    if 0xA0 <= c < 0xC0 or 0xD9 <= c <= 0xDB:
        return take(c & 31 if c < 0xC0 else size(1 << c - 0xD9)).decode("utf-8"), at
    if 0xC4 <= c <= 0xC6:
        return bytes(take(size(1 << c - 0xC4))), at
    if 0xC7 <= c <= 0xC9 or 0xD4 <= c <= 0xD8:
        n = size(1 << c - 0xC7) if c < 0xD4 else 1 << c - 0xD4
        code, body = take(1)[0], take(n)
        if code == 0x30 and n == 16:
            return complex(*struct.unpack("<dd", body)), at
        if code == 0x31:
            if n > MAX_DIGITS:
                raise ValueError("an integer of more than %d digits" % MAX_DIGITS)
            return int(body.decode("ascii")), at
        if code == 0x32 and n == 8:
            return _EPOCH + datetime.timedelta(seconds=struct.unpack("<d", body)[0]), at
        if code == 0x33 and n in (4, 8):
            return datetime.date.fromordinal(int.from_bytes(body, "little", signed=True)), at
        raise ValueError("invalid ext code for msgpack: %d" % code)
    if 0x90 <= c < 0xA0 or c in (0xDC, 0xDD):
        out = []
        for _ in range(c & 15 if c < 0xA0 else size(2 << c - 0xDC)):
            v, at = _unpack_msgpack(data, at, depth + 1, seen)
            out.append(v)
        return out, at
    if 0x80 <= c < 0x90 or c in (0xDE, 0xDF):
        keys, values = [], []
        for _ in range(c & 15 if c < 0x90 else size(2 << c - 0xDE)):
            k, at = _unpack_msgpack(data, at, depth + 1, seen)
            keys.append(k)
            v, at = _unpack_msgpack(data, at, depth + 1, seen)
            values.append(v)
        seen.check(keys)
        return dict(zip(keys, values)), at
    raise ValueError("byte 0x%02x is not the start of a value" % c)


# --- Signatures -----------------------------------------------------------------------------
# The signature of a member has the parameters and the result of a function with their types, as the host describes
# them to clients. A type is the text of a LuaCATS annotation: integer, string[], table<string, number>, item?, "a"|"b".

MAX_TYPE_DEPTH = 16  # nested annotations
_NAMES = {None: "nil", type(None): "nil", bool: "boolean", int: "integer", float: "number", str: "string", bytes: "string",
          datetime.datetime: "string", datetime.date: "string", decimal.Decimal: "string", uuid.UUID: "string",
          list: "any[]", tuple: "any[]", set: "any[]", frozenset: "any[]", dict: "table"}
_LISTS = {list: list, tuple: tuple, set: set, frozenset: frozenset, collections.abc.Sequence: list,
          collections.abc.MutableSequence: list, collections.abc.Iterable: list, collections.abc.Collection: list,
          collections.abc.Set: set, collections.abc.MutableSet: set}
_MAPS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_STREAMS = (collections.abc.Iterator, collections.abc.Iterable, collections.abc.Generator)
_UNIONS = (typing.Union, getattr(types, "UnionType", typing.Union))
_RESERVED = frozenset("any unknown nil boolean bool integer number string table function userdata lightuserdata thread self "
                      "fun true false".split())


class _Mismatch(Exception):
    """An argument that does not fit: the call is not executed."""


class _Quiet(_Mismatch):
    """A value that is not of an alternative of a union."""


def _clip(text, n=40):
    return text if len(text) <= n else text[:n] + "…"


def _path(at):
    """Returns the text of a position: a name, or (outer position, name or index from 1)."""
    parts = []
    while isinstance(at, tuple):
        at, part = at
        parts.append("[%d]" % part if isinstance(part, int) else "." + _clip(str(part)))
    return _clip(at) + "".join(reversed(parts[-10:]))


def _got(v, literals=False):
    """Describes a value in a message. A text may be confidential and is shown only where certain texts are expected."""
    if v is None:
        return "None"
    if isinstance(v, bool):
        return "boolean"
    if isinstance(v, (int, float)):
        return "number %s" % _clip(repr(v) if isinstance(v, float) or abs(v) < 1 << 64 else "of more than 64 bits")
    if isinstance(v, str):
        return json.dumps(_clip(v), ensure_ascii=False) if literals else "string"
    return type(v).__name__


class _Type:
    """The type of an annotation: its text, and a function that converts a value, or None for any value."""

    def __init__(self, text, convert=None, nillable=False):
        self.text, self.convert, self.nillable = text, convert, nillable or text in ("any", "nil")

    def __call__(self, v, at):
        if self.convert is None or v is None and self.nillable:
            return v
        return self.convert(v, at)

    def inner(self):
        """Returns the text as a part of another type."""
        return "(%s)" % self.text if "|" in self.text else self.text

    def wrong(self, v, at, literals=False):
        return _Mismatch("%s: expected %s, got %s" % (_path(at), _clip(self.text, 200), _got(v, literals)))


_ANY = _Type("any")


class _Types:
    """The types of an object's signatures, and their named types: dataclasses, typed dicts and enums."""

    def __init__(self):
        self.names, self.definitions, self.known = {}, {}, {}

    def of(self, t, depth=0):
        """Returns the type of an annotation. One that is not supported is any."""
        try:
            known = self.known.get(t)
        except TypeError:  # not hashable
            known = None
        if known is None:
            known = _ANY if depth > MAX_TYPE_DEPTH else self.make(t, depth)
            with contextlib.suppress(TypeError):
                self.known[t] = known
        return known

    def make(self, t, depth):
        origin, args = typing.get_origin(t), typing.get_args(t)
        if origin in _UNIONS:
            return self.union([self.of(a, depth + 1) for a in args])
        if origin is typing.Literal:
            return self.literal(args)
        if origin is getattr(typing, "Annotated", self):
            return self.of(args[0], depth + 1)
        if origin in _LISTS or t in (list, tuple, set, frozenset):
            return self.list(_LISTS.get(origin, t), args, depth)
        if origin in _MAPS or t is dict:
            return self.map(args, depth)
        if hasattr(t, "__supertype__"):
            return self.of(t.__supertype__, depth + 1)
        if not isinstance(t, type) and t is not None:
            return _ANY
        if t in _NAMES:
            return self.basic(t)
        if issubclass(t, enum.Enum):
            return self.enum(t)
        if dataclasses.is_dataclass(t) or typing_is_typeddict(t):
            return self.record(t)
        return _ANY

    def basic(self, t):
        made = _Type(_NAMES[t])

        def convert(v, at):
            if t in (None, type(None)):
                ok = v is None
            elif t is int and isinstance(v, float):
                if v.is_integer() and abs(v) <= MAX_INTEGER:
                    return int(v)
                ok = False
            elif t is bytes and isinstance(v, str):
                return v.encode("utf-8", "surrogatepass")
            else:
                try:
                    return fit(v, t)
                except TypeError:
                    ok = False
            if not ok:
                raise made.wrong(v, at)
            return v

        made.convert = convert
        return made

    def union(self, of):
        if any(o.text == "any" for o in of):
            return _ANY
        others = [o for o in of if o.text != "nil"]
        nillable = len(others) < len(of) or any(o.nillable for o in others)
        text = "|".join(dict.fromkeys(o.text for o in others))
        if nillable:
            text = text + "|nil" if "|" in text else text if text.endswith("?") else text + "?"
        made = _Type(text, nillable=nillable)

        def convert(v, at):
            if len(others) == 1:
                return others[0](v, at)
            for exact in (True, False):  # a value keeps its type if one of the alternatives has it
                for o in others:
                    try:
                        converted = o(v, at)
                    except _Mismatch:
                        continue
                    if not exact or type(converted) is type(v):
                        return converted
            raise made.wrong(v, at)

        made.convert = convert
        return made

    def literal(self, values):
        allowed = [v for v in values if isinstance(v, (str, int, float, bool)) and not isinstance(v, enum.Enum)]
        nillable = None in values
        text = "|".join(json.dumps(v, ensure_ascii=False) for v in allowed) or "any"
        if nillable:
            text = text + ("|nil" if "|" in text else "?")
        made = _Type(text, nillable=nillable)
        if len(allowed) + nillable < len(values):
            return _ANY

        def convert(v, at):
            for one in allowed:
                if type(one) is type(v) and one == v:
                    return one
            raise made.wrong(v, at, literals=True)

        made.convert = convert
        return made

    def list(self, want, args, depth):
        uniform = len(args) == 1 or want is tuple and len(args) == 2 and args[1] is Ellipsis
        each = [self.of(a, depth + 1) for a in args] if want is tuple and args and not uniform else None
        elem = self.of(args[0], depth + 1) if uniform else _ANY
        made = _Type(elem.inner() + "[]")

        def convert(v, at):
            if not isinstance(v, (list, tuple, set, frozenset)) or each is not None and len(v) != len(each):
                raise made.wrong(v, at)
            kinds = each or itertools.repeat(elem)
            try:
                return want(kind(e, (at, i)) for kind, (i, e) in zip(kinds, enumerate(v, 1)))
            except TypeError:  # elements of a set that cannot be hashed
                raise made.wrong(v, at) from None

        made.convert = convert
        return made

    def map(self, args, depth):
        key, elem = (self.of(a, depth + 1) for a in (args if len(args) == 2 else (typing.Any, typing.Any)))
        made = _Type("table" if key is _ANY and elem is _ANY else "table<%s, %s>" % (key.text, elem.text))

        def convert(v, at):
            if not isinstance(v, dict):
                raise made.wrong(v, at)
            return {key(k, (at, str(k))): elem(e, (at, str(k))) for k, e in v.items()}

        made.convert = convert
        return made

    def name(self, t):
        """Returns an unused name for a class."""
        name = bare = re.sub(r"[^A-Za-z0-9_]", "_", t.__name__)
        for i in itertools.count(2):
            if name not in self.definitions and name not in _RESERVED and not name[:1].isdigit():
                return name
            name = "%s_%d" % (bare, i)

    def enum(self, t):
        literals = self.literal([m.value for m in t])
        if literals is _ANY:
            return _ANY
        name = self.name(t)
        self.definitions[name] = {"type": literals.text, "doc": _doc(t)}
        return _Type(name, lambda v, at: v if isinstance(v, t) else t(literals(v, at)))

    def record(self, t):
        name = self.name(t)
        self.definitions[name] = d = {"doc": _doc(t), "fields": []}
        made = self.known[t] = _Type(name)  # now, because a field may have this type
        fields = _fields(t)
        kinds = []
        for field, hint, optional in fields:
            kind = self.of(hint, 1)
            kinds.append((field, kind, optional))
            d["fields"].append({"name": field, "type": kind.text, "optional": optional})
        typed = typing_is_typeddict(t)

        def convert(v, at):
            if isinstance(v, t) if not typed else False:
                return v
            if not isinstance(v, dict):
                raise made.wrong(v, at)
            out = dict(v) if typed else {}
            for field, kind, optional in kinds:
                if v.get(field) is None and not kind.nillable:
                    if not optional:
                        raise _Mismatch("%s: expected %s, got nothing" % (_path((at, field)), kind.text))
                    out.pop(field, None)
                elif field in v:
                    out[field] = kind(v[field], (at, field))
                elif not optional:
                    out[field] = None
            return out if typed else t(**out)

        made.convert = convert
        return made


def typing_is_typeddict(t):
    return isinstance(t, type) and issubclass(t, dict) and hasattr(t, "__required_keys__")


def _doc(t):
    """Returns the documentation of a class, unless Python has made it."""
    text = vars(t).get("__doc__") or ""
    return "" if text.startswith(t.__name__ + "(") or text == "An enumeration." else inspect.cleandoc(text)


def _hints(t):
    """Returns the annotations of a function or a class. One that cannot be evaluated is missing, and is printed."""
    try:
        return typing.get_type_hints(t)
    except Exception:
        hints, scope = {}, getattr(t, "__globals__", None) or vars(sys.modules[t.__module__])
    for name, annotation in getattr(t, "__annotations__", {}).items():
        try:
            one = types.SimpleNamespace(__annotations__={name: annotation})
            hints.update(typing.get_type_hints(one, scope))
        except Exception as e:
            print("hearth_plugin: %s: the annotation of %s cannot be evaluated; it is any: %s" % (
                t.__qualname__, name, e), file=sys.stderr)
    return hints


def _fields(t):
    """Returns the name, the annotation, and whether it is optional, of each field of a class."""
    hints = _hints(t)
    if typing_is_typeddict(t):
        return [(n, h, n not in t.__required_keys__) for n, h in hints.items()]
    missing = dataclasses.MISSING
    return [(f.name, hints.get(f.name, typing.Any), f.default is not missing or f.default_factory is not missing)
            for f in dataclasses.fields(t) if f.init]


class _Signature:
    """The parameters and the result of a function of an object. names has other names of the parameters for messages."""

    def __init__(self, function, known, names=()):
        hints, parameters = _hints(function), list(inspect.signature(function).parameters.values())[1:]
        self.params, self.positional, self.rest, self.others = [], 0, None, None
        for i, p in enumerate(parameters):
            kind = known.of(hints.get(p.name, typing.Any))
            name = names[i] if i < len(names) else p.name
            if p.kind is p.VAR_POSITIONAL:
                self.rest = (p.name, kind)
            elif p.kind is p.VAR_KEYWORD:
                self.others = (p.name, kind)
            else:
                self.params.append((name, kind, p))
                self.positional += p.kind is not p.KEYWORD_ONLY
        returns = hints.get("return", typing.Any)
        if inspect.isgeneratorfunction(function):
            args = typing.get_args(returns) if typing.get_origin(returns) in _STREAMS else ()
            self.returns = "hearth.stream<%s>" % known.of(args[0] if args else typing.Any).text
        else:
            self.returns = known.of(returns).text if "return" in hints and returns not in (None, type(None)) else None

    def document(self):
        """Returns the JSON of the signature."""
        doc = {"annotated": True, "params": [{"name": name, "type": kind.text, "optional": p.default is not p.empty or (
            kind.nillable and kind is not _ANY)} for name, kind, p in self.params]}
        if self.rest:
            doc["variadic"] = {"name": self.rest[0], "type": self.rest[1].text}
        if self.others:
            doc["keywords"] = {"name": "kwargs", "type": self.others[1].text, "optional": True}
        if self.returns:
            doc["returns"] = [{"type": self.returns}]
        return json.dumps(doc).encode()

    def value(self):
        """Returns the JSON of the type of an attribute."""
        return json.dumps(self.returns or "any").encode()

    def bind(self, args, kwargs):
        """Returns the arguments of a call, converted to the types of the parameters. Raises _Mismatch."""
        if len(args) > self.positional and not self.rest:
            raise _Mismatch("takes %s, got %d" % (
                {0: "no arguments", 1: "1 argument"}.get(self.positional, "%d arguments" % self.positional), len(args)))
        bound, keywords, rest = [], {}, dict(kwargs)
        for i, (name, kind, p) in enumerate(self.params):
            by_name = name in rest and p.kind is not p.POSITIONAL_ONLY
            positional = i < self.positional
            if by_name and positional and i < len(args):
                raise _Mismatch("%s is given twice: as argument %d and by name" % (name, i + 1))
            given = by_name or positional and i < len(args)
            v = rest.pop(name) if by_name else args[i] if given else None
            if v is None and not (given and kind.nillable):
                if p.default is not p.empty:
                    v = p.default
                elif kind.nillable and kind is not _ANY:
                    v = None
                else:
                    raise _Mismatch("%s: expected %s, got %s" % (name, kind.text, "None" if given else "nothing"))
            else:
                v = kind(v, name)
            if positional:
                bound.append(v)
            else:
                keywords[name] = v
        for i, v in enumerate(args[self.positional:], self.positional + 1):
            bound.append(self.rest[1](v, "argument %d" % i))
        if rest and not self.others:
            names = ", ".join(name for name, _, _ in self.params)
            raise _Mismatch("no parameter %s; %s" % (
                _clip(min(rest)), "the parameters are " + _clip(names, 200) if names else "it has no parameters"))
        for name, v in rest.items():
            keywords[name] = self.others[1](v, name)
        return bound, keywords


# --- Arguments and exceptions ---------------------------------------------------------------

# Types that are sent as text or as a list by serializers without such a type.
_FROM = {uuid.UUID: (str,), decimal.Decimal: (str, int), datetime.datetime: (str,), datetime.date: (str,), float: (int,),
         complex: (int, float)}


def fit(v, want):
    """Converts an argument to a type without parts. Raises TypeError if that is not possible."""
    if isinstance(v, want) and not (isinstance(v, bool) and want in (int, float, complex)) \
            and not (want is datetime.date and isinstance(v, datetime.datetime)):
        return v
    if isinstance(v, _FROM.get(want, ())) and not isinstance(v, bool):
        try:
            return want.fromisoformat(v) if want in (datetime.datetime, datetime.date) else want(v)
        except (ValueError, ArithmeticError, TypeError):
            pass
    raise TypeError


_PYRO = frozenset("PyroError CommunicationError ConnectionClosedError ProtocolError MessageTooLargeError SerializeError "
                  "NamingError DaemonError SecurityError".split())
_NEVER = ("BaseExceptionGroup", "ExceptionGroup", "EncodingWarning", "PythonFinalizationError")


def _known(name):
    """Returns the qualified name of an exception class in all versions of Pyro."""
    cls = vars(__import__("builtins")).get(name)
    if isinstance(cls, type) and issubclass(cls, Exception) and name not in _NEVER:
        return "builtins." + ("UnicodeError" if name.startswith("Unicode") and name != "UnicodeWarning" else name)
    return None


def exception_value(e, protocol, web=False):
    """Returns the dict that raises e at the client."""
    class_name = getattr(e, "class_name", None) if isinstance(e, (Raise, RemoteError)) else type(e).__name__
    args = e.args
    if web:  # for an HTTP client a class is a text
        return {"__class__": class_name, "__exception__": True, "args": tuple(args), "attributes": {"_pyroTraceback": None}}
    name = _known(class_name) if isinstance(e, (Raise, RemoteError)) or type(e).__module__ == "builtins" else None
    if name is None and isinstance(e, (Raise, RemoteError)) and class_name in _PYRO:
        name = "Pyro%d.errors.%s" % (4 if protocol == 48 else 5, class_name)
    if name is None:
        name, args = "builtins.RuntimeError", ("%s: %s" % (class_name, ", ".join(map(str, e.args))),)
    if name == "builtins.UnicodeError" and len(args) > 1:
        args = (str(e),)
    return {"__class__": name, "__exception__": True, "args": tuple(args), "attributes": {"_pyroTraceback": None}}


def failure(code, message, class_name=""):
    return {"failure": {"code": code, "message": message, "class": class_name}}


INVALID, TOO_LARGE, NOT_FOUND, DEADLINE, CANCELED, UNAVAILABLE = 1, 2, 5, 7, 8, 9

# --- The server -----------------------------------------------------------------------------


class _Instance:
    """The state of an object, used by one call at a time."""

    def __init__(self, cls):
        self.cls, self.lock, self.value = cls, threading.Lock(), None

    def get(self):
        if self.value is None:
            self.value = self.cls()
        return self.value

    def close(self):
        with contextlib.suppress(AttributeError):
            self.value.close()


class Server:
    """Serves the host. serve() creates it."""

    def __init__(self, classes):
        self.objects, self.members, self.types, self.signatures, self.setters = {}, {}, {}, {}, {}
        for cls in classes:
            if "_hearth_plugin" not in vars(cls):
                raise TypeError("%s is not an object: put @plugin() before it" % cls.__name__)
            mode, name = cls._hearth_plugin
            if name in self.objects:
                raise TypeError("two objects have the name %r" % name)
            self.objects[name] = (mode, cls)
            found = {}
            for base in reversed(cls.__mro__):
                for n, m in vars(base).items():
                    found.pop(n, None)  # a member that hides an exposed one is not exposed automatically
                    if isinstance(m, _Member):
                        found[n] = m
            self.members[name] = found
            known = self.types[name] = _Types()
            self.signatures[name] = {n: _Signature(m.function, known) for n, m in found.items()}
            self.setters[name] = {n: _Signature(m.setter_function, known, ("the value",)) for n, m in found.items()
                                  if m.setter_function is not None}
        self.id, self.host, self.loop, self.channel = "", None, None, None
        self.lock = threading.Lock()  # guards the attributes below
        self.held, self.streams, self.last, self.committing = {}, {}, 0, {}
        self.pool = concurrent.futures.ThreadPoolExecutor(THREADS)

    # Requests of the host.

    async def run(self):
        import grpc  # here, so that tools can import this file without it

        self.loop, self.done = asyncio.get_running_loop(), asyncio.Event()
        self.infos, self.arrived = {}, asyncio.Condition()
        folder = os.environ.get("PLUGIN_UNIX_SOCKET_DIR") or __import__("tempfile").mkdtemp()
        path = os.path.join(folder, "plugin%d" % os.getpid())
        self.client_cert = os.environ.get("PLUGIN_CLIENT_CERT", "").encode()
        if not self.client_cert:
            sys.exit("hearth_plugin: no PLUGIN_CLIENT_CERT: the host must use mutual TLS")
        self.key, self.cert, der = certificate()
        options = [("grpc.max_receive_message_length", MAX_MESSAGE), ("grpc.max_send_message_length", MAX_MESSAGE)]
        server = grpc.aio.server(options=options)
        server.add_generic_rpc_handlers(tuple(
            grpc.method_handlers_generic_handler(service, handlers) for service, handlers in self.services(grpc).items()))
        server.add_secure_port("unix:" + path, grpc.ssl_server_credentials(
            [(self.key, self.cert)], root_certificates=self.client_cert, require_client_auth=True))
        await server.start()
        print("1|1|unix|%s|grpc|%s" % (path, base64.b64encode(der).decode().rstrip("=")), flush=True)
        await self.done.wait()
        await server.stop(0.5)
        for instances in list(self.held.values()):
            for i in instances.values():
                i.close()

    def services(self, grpc):
        def unary(answer, request, reply, in_thread=True):
            async def handle(data, context):
                r = unpack(data, request)
                if not in_thread:
                    return pack(await answer(r), reply)
                r["over"] = over = threading.Event()
                try:
                    return pack(await self.loop.run_in_executor(self.pool, answer, r), reply)
                finally:
                    over.set()  # the host may have cancelled the call
            return grpc.unary_unary_rpc_method_handler(handle)

        async def health(r):
            return {"status": 1 if r.get("service", "") in ("", "plugin") else 3}

        async def shutdown(r):
            self.loop.call_later(0.05, self.done.set)  # after the answer was sent
            return {}

        async def broker(requests, context):
            async for data in requests:
                info = unpack(data, CONN_INFO)
                async with self.arrived:
                    self.infos[info.get("service_id", 0)] = info
                    self.arrived.notify_all()
            return
            yield

        return {
            "hearth.plugin.v1.Plugin": {
                "Describe": unary(self.describe, DESCRIBE_REQUEST, DESCRIBE_REPLY, in_thread=False),
                "Call": unary(self.call, CALL_REQUEST, CALL_REPLY),
                "Next": unary(self.next, NEXT_REQUEST, CALL_REPLY),
                "CloseStream": unary(self.close_stream, STREAM_REQUEST, NOTHING),
                "EndConn": unary(self.end_conn, CONN_REQUEST, NOTHING),
            },
            "grpc.health.v1.Health": {"Check": unary(health, HEALTH_REQUEST, HEALTH_REPLY, in_thread=False)},
            "plugin.GRPCController": {"Shutdown": unary(shutdown, NOTHING, NOTHING, in_thread=False)},
            "plugin.GRPCBroker": {"StartStream": grpc.stream_stream_rpc_method_handler(broker)},
        }

    async def describe(self, r):
        self.id = r.get("id", "")
        if r.get("host") and self.host is None:
            async with self.arrived:
                await asyncio.wait_for(self.arrived.wait_for(lambda: r["host"] in self.infos), 8)
            self.dial(self.infos.pop(r["host"]))
        return {"supports": [WEB, "once"], "objects": [{
            "name": name, "doc": inspect.getdoc(cls) or "", "instance": mode,
            "members": [{"name": n, "doc": m.doc, "method": m.kind == "method", "oneway": m.oneway, "get": m.kind == "attribute",
                         "set": m.setter_function is not None, "signature": self.signature(name, n, m)}
                        for n, m in sorted(self.members[name].items())],
            "types": json.dumps(self.types[name].definitions).encode(),
        } for name, (mode, cls) in self.objects.items()]}

    def signature(self, name, member, m):
        """Returns the JSON of a member's signature. The type of an attribute is that of its value, or of its setter."""
        s = self.signatures[name][member]
        if m.kind == "method":
            return s.document()
        if not s.returns and member in self.setters[name]:
            return json.dumps(self.setters[name][member].params[0][1].text).encode()
        return s.value()

    def dial(self, info):
        import grpc

        self.host = grpc.aio.secure_channel("unix:" + info["address"], grpc.ssl_channel_credentials(
            root_certificates=self.client_cert, private_key=self.key, certificate_chain=self.cert), options=[
                ("grpc.ssl_target_name_override", "localhost"), ("grpc.default_authority", "localhost"),
                ("grpc.max_receive_message_length", MAX_MESSAGE), ("grpc.max_send_message_length", MAX_MESSAGE)])

    def ask(self, name, message, request, reply):
        """Calls the host from the thread of a call."""
        async def send():
            return await self.host.unary_unary("/hearth.plugin.v1.Host/" + name)(pack(message, request))
        return unpack(asyncio.run_coroutine_threadsafe(send(), self.loop).result(), reply)

    # The store, in the thread of a call.

    def commits(self, object_id):
        """Returns the lock of an object's commits, which a transaction holds."""
        with self.lock:
            return self.committing.setdefault(object_id, threading.RLock())

    def store(self, under, operation):
        """Runs an operation of the store."""
        reply = self.ask("Store", dict(operation, call=under.get("call", 0)), STORE_REQUEST, STORE_REPLY)
        failed = reply.get("failure")
        if failed is None:
            return reply
        code, message = failed.get("code", 0), failed.get("message", "")
        if failed.get("class") == "TypeError":
            raise TypeError(message)
        if not failed.get("class") and code in (INVALID, TOO_LARGE):
            raise ValueError(message)
        raise StoreError(failed.get("class") or "RuntimeError", message)

    def begin(self, under):
        """Stores, before the first effect outside of a call that is executed at most once, that it has begun: after a
        crash, a retry must not repeat the effect."""
        if under.get("once") and not under.get("begun"):
            under["begun"], under["answer"] = True, {"state": BEGUN}

    def answer(self, under, reply):
        """Adds the reply of a call that is executed at most once to its writes. The writes of a call that has failed are
        dropped."""
        if ("failure" in reply or reply.get("exception")) and "buffer" in under:
            under["buffer"].clear()
        if "failure" in reply:
            return
        payload = reply.get("payload", b"")
        under["answer"] = {"state": DONE, "exception": reply.get("exception", False), "payload": payload}
        if len(payload) > MAX_ANSWER:
            under["answer"] = {"state": DROPPED}

    def gate(self, under):
        """Commits the writes of a call before something leaves the plugin. After an error the instance must end."""
        b = under.get("buffer")
        if b is not None and b.inside:
            raise RuntimeError("a transaction of the store cannot call other objects")
        if under.get("broken"):
            raise _NotStored(UNAVAILABLE, "store: an earlier write of the call failed; not stored; "
                             "the call was executed in part")
        answer = under.pop("answer", None)
        writes = b.writes if b is not None else []
        if not writes and answer is None:
            return
        if b is not None:
            b.clear()
        try:
            with contextlib.nullcontext() if under.get("exclusive") else self.commits(under["object"]):
                message = {"call": under.get("call", 0), "commit": {"writes": writes, "answer": answer}}
                reply = self.ask("Store", message, STORE_REQUEST, STORE_REPLY)
        except Exception as e:
            under["broken"] = True
            raise _NotStored(UNAVAILABLE, "store: the state could not be written; stored: unknown") from e
        failed = reply.get("failure")
        if failed is not None:
            under["broken"] = True
            raise _NotStored(failed.get("code", 0), failed.get("message", "") + "; the call was executed in part")

    # Calls, each in a thread of the pool.

    def call(self, r):
        object_id = r.get("object", "")
        name = "" if object_id == self.id else object_id[len(self.id) + 1:] if object_id.startswith(self.id + ".") else None
        if name not in self.objects or r.get("serializer") not in ("serpent", "json", "msgpack", WEB):
            return failure(NOT_FOUND, "unknown object")
        try:
            args, kwargs = decode_call(r["serializer"], r.get("payload", b""), r.get("kind", 0))
        except TooLarge as e:
            return failure(TOO_LARGE, "%s; not executed" % e)
        except Exception as e:  # all errors are due to the client's bytes
            return failure(INVALID, "the arguments cannot be read: %s" % type(e).__name__, "ValueError")
        kind, method_name = r.get("kind", 0), r.get("method", "")
        names = r.get("batch", []) if kind == BATCH else [method_name]
        if kind not in (INVOKE, GET, SET, BATCH) or not all(self.exposes(name, n, kind) for n in names):
            return failure(NOT_FOUND, "no such method or attribute", "AttributeError")
        r["exclusive"] = self.objects[name][0] == "single"
        with self.under(r):
            try:
                with self.instance(name, r.get("conn", 0), r) as instance:
                    if 0 < r.get("deadline_micros", 0) < time.time() * 1e6:  # the call waited for the instance
                        return failure(DEADLINE, "the call waited beyond its deadline; not executed")
                    if "over" in r and r["over"].is_set():
                        return failure(CANCELED, "the call was cancelled while it waited; not executed")
                    if not r.get("once"):
                        v = self.execute(instance, name, r, names, args, kwargs)
                        self.gate(r)
                    else:
                        reply = self.execute_once(instance, name, r, names, args, kwargs)
                        self.answer(r, reply)
                        self.gate(r)
                        return reply
            except _NotStored as e:
                return failure(e.code, str(e))
            except _Mismatch as e:
                return failure(INVALID, "%s: %s" % (method_name, e), "TypeError")
            except Exception as e:
                return self.raised(r, e)
        if inspect.isgenerator(v):
            with self.lock:
                self.last += 1
                self.streams[self.last] = (v, threading.Lock())
                return {"stream": self.last}
        return self.value(r, v)

    def execute(self, instance, name, r, names, args, kwargs):
        """Returns the result of a call."""
        kind, method_name = r.get("kind", 0), r.get("method", "")
        if kind == BATCH:
            return self.batch(instance, r, names, args)
        if kind == GET:
            return self.members[name][method_name].function(instance)
        if kind == SET:
            set_it = self.members[name][method_name].setter_function.__get__(instance)
            args, kwargs = self.setters[name][method_name].bind(args[1:], {})
            return set_it(*args)
        return self.invoke(instance, name, method_name, args, kwargs)

    def execute_once(self, instance, name, r, names, args, kwargs):
        """Returns the reply of a call that is executed at most once."""
        try:
            v = self.execute(instance, name, r, names, args, kwargs)
        except (_NotStored, _Mismatch):
            raise
        except Exception as e:
            return self.raised(r, e)
        if inspect.isgenerator(v):
            v.close()
            return failure(INVALID, "a call with an idempotency key cannot return an item stream; it was executed in part")
        return self.value(r, v)

    def exposes(self, name, member, kind):
        m = self.members[name].get(member)
        if m is None:
            return False
        if kind == SET:
            return m.setter_function is not None
        return m.kind == ("attribute" if kind == GET else "method")

    def invoke(self, instance, name, method_name, args, kwargs):
        bound = self.members[name][method_name].function.__get__(instance)
        args, kwargs = self.signatures[name][method_name].bind(args, kwargs)
        return bound(*args, **kwargs)

    def batch(self, instance, r, names, calls):
        name, out = instance._hearth_plugin[1], []
        if len(calls) != len(names):
            raise TypeError("a batch requires a list of calls")
        for n, one in zip(names, calls):
            mark = len(r["buffer"].writes) if "buffer" in r else 0
            try:
                if not isinstance(one, (list, tuple)) or len(one) != 3:
                    raise TypeError("a batch requires a list of calls")
                v = self.invoke(instance, name, n, one[1] or (), one[2] or {})
                if inspect.isgenerator(v):
                    raise TypeError("an item stream cannot be opened in a batch")
                out.append(v)
            except _NotStored:
                raise
            except Exception as e:
                if isinstance(e, _Mismatch):
                    e = TypeError("%s: %s" % (n, e))
                if "buffer" in r:
                    r["buffer"].truncate(mark)
                self.say(e)
                wrapper = "Pyro4.futures._ExceptionWrapper" if r.get("protocol") == 48 else "Pyro5.core._ExceptionWrapper"
                out.append({"__class__": wrapper, "exception": exception_value(e, r.get("protocol"))})
                break
        return out

    def next(self, r):
        number, c = r.get("stream", 0), r.get("call") or {}
        with self.lock:
            stream = self.streams.get(number)
        if stream is None:
            return failure(NOT_FOUND, "item stream terminated", "PyroError")
        with stream[1], self.under(c):
            try:
                item = next(stream[0])
                self.gate(c)
                return self.value(c, item)
            except StopIteration:
                try:
                    self.gate(c)
                    reply = {"end": True}
                except _NotStored as e:
                    reply = failure(e.code, str(e))
            except _NotStored as e:
                reply = failure(e.code, str(e))
            except Exception as e:
                reply = self.raised(c, e)
        with self.lock:
            self.streams.pop(number, None)
        return reply

    def close_stream(self, r):
        with self.lock:
            stream = self.streams.pop(r.get("stream", 0), None)
        if stream is not None:
            with stream[1]:
                stream[0].close()
        return {}

    def end_conn(self, r):
        with self.lock:
            instances = self.held.pop(r.get("conn", 0), {}) if r.get("conn") else {}
        for i in instances.values():
            with i.lock:
                i.close()
        return {}

    @contextlib.contextmanager
    def under(self, r):
        _local.call, _local.server = r, self
        try:
            yield
        finally:
            _local.call = _local.server = None

    @contextlib.contextmanager
    def instance(self, name, conn, r):
        mode, cls = self.objects[name]
        if mode == "call":
            held = _Instance(cls)
            try:
                yield held.get()
            finally:
                held.close()
            return
        with self.lock:
            held = self.held.setdefault(conn if mode == "session" else 0, {}).setdefault((mode, name), _Instance(cls))
        with held.lock:
            try:
                yield held.get()
            finally:
                if r.get("broken"):  # its memory may be ahead of its state
                    held.close()
                    held.value = None

    def value(self, r, v):
        try:
            return {"payload": encode(r["serializer"], v)}
        except Exception as e:
            return self.raised(r, e if isinstance(e, TypeError) else TypeError("the result cannot be sent: %s" % e))

    def raised(self, r, e):
        self.say(e)
        try:
            payload = encode(r["serializer"], exception_value(e, r.get("protocol"), r["serializer"] == WEB))
        except Exception:  # the exception has arguments that cannot be sent
            payload = encode(r["serializer"], exception_value(RuntimeError("%s: %s" % (type(e).__name__, e)), 0))
        return {"payload": payload, "exception": True}

    def say(self, e):
        """Prints the traceback of an unexpected exception; the host logs it."""
        if not isinstance(e, (Raise, RemoteError, KeyError, ValueError, TypeError)):
            traceback.print_exception(type(e), e, e.__traceback__)


def certificate():
    """Returns a new key and certificate for this process: (key PEM, certificate PEM, DER)."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.utcnow()
    cert = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1)).not_valid_after(now + datetime.timedelta(days=10000))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(True, False, True, False, True, True, False, False, False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    return private, cert.public_bytes(serialization.Encoding.PEM), cert.public_bytes(serialization.Encoding.DER)
