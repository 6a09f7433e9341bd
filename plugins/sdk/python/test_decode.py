"""Attacks the decoding of arguments, and the queue of an instance. It needs no host: python3 test_decode.py"""

import ast
import math
import pathlib
import random
import re
import struct
import threading
import unittest

import hearth_plugin as sdk

PRIME = 2 ** 61 - 1     # Python's hash of an integer is its remainder
MANY = sdk.MAX_NUMBER_KEYS


def colliding_tuples(n):
    """Different keys of one hash: tuples of integers that differ by multiples of the prime."""
    return [(i * PRIME, 0) for i in range(n)]


def msgpack_map(keys):
    out = [b"\xdf", struct.pack(">I", len(keys))]
    for k in keys:
        sdk._pack_msgpack(k, out, 0)
        out.append(b"\xc0")
    return b"".join(out)


class DecodeTest(unittest.TestCase):
    def test_hash_flooding(self):
        flood = range(0, MANY * PRIME, PRIME)
        for text in ("{%s}" % ",".join("%d:0" % k for k in flood), "{%s}" % ",".join(map(str, flood)),
                     "[({'a':{%s}},)]" % ",".join("%r:0" % (k,) for k in colliding_tuples(MANY)),
                     "{%s}" % ",".join("%r:0" % 2.0 ** (61 * k) for k in range(12))):
            with self.assertRaisesRegex(ValueError, "have one hash"):
                sdk.decode("serpent", (sdk.SERPENT_HEAD + text).encode())
        with self.assertRaisesRegex(ValueError, "have one hash"):
            sdk.decode("msgpack", msgpack_map([2.0 ** (61 * k) for k in range(-6, 6)]))

    def test_probe_flooding(self):
        """Keys with hashes of their own can lead to the same places of a dict's table, one after another: 0.6 MB of such
        keys took 20 s. No test of single keys finds them, so their number is bounded, in all of a payload."""
        few = {i: 0 for i in range(MANY // 4)}
        for v in ({i: 0 for i in range(MANY + 1)}, set(range(MANY + 1)), {(i,): 0 for i in range(MANY + 1)}, [few] * 5,
                  {"a": set(few), "b": [few, (few, few)], None: few}):
            with self.assertRaisesRegex(ValueError, "more than %d keys" % MANY):
                sdk.decode("serpent", sdk.encode("serpent", v))
        with self.assertRaisesRegex(ValueError, "more than %d keys" % MANY):
            sdk.decode("msgpack", msgpack_map(range(MANY + 1)))
        for v in ([few] * 4, {str(i): i for i in range(3 * MANY)}):
            for serializer in ("serpent", "msgpack")[:1 + (v != [few] * 4)]:
                self.assertEqual(sdk.decode(serializer, sdk.encode(serializer, v)), v)

    def test_ordinary_keys(self):
        for v in ({i: i for i in range(MANY)}, {float(i) / 3: 0 for i in range(MANY)}, {(i, i + 1): 0 for i in range(MANY)},
                  {str(i): 0 for i in range(MANY)}, set(range(MANY)), {1: 0, "1": 0, None: 0, True: 1}, {-1: 0, -2: 0}):
            self.assertEqual(sdk.decode("serpent", sdk.encode("serpent", v)), v)
        # One key again and again is one key.
        self.assertEqual(sdk.decode("serpent", b"{%s}" % b",".join([b"5:0"] * MANY)), {5: 0})

    def test_texts_that_do_not_end(self):
        """Looking for the end of each of many took time by their square."""
        for quote in ("'", '"'):
            text = quote + ("\\" + quote) * 400000
            with self.assertRaises(Exception):
                sdk.decode("serpent", text.encode())
            with self.assertRaises(Exception):
                sdk.decode("json", text.encode())

    def test_long_integers(self):
        with self.assertRaises(ValueError):
            body = b"9" * 200000
            sdk.decode("msgpack", b"\xc9" + struct.pack(">I", len(body)) + b"\x31" + body)

    def test_only_literals(self):
        """What Python reads and serpent never has is refused before it is parsed."""
        for text in ("1" + "+1" * 100000, "-" * 100000 + "1", "[1]" + "[0]" * 100000, "x" + ".x" * 100000, "(1)" + "(1)" * 100000,
                     "'a' 'b'", "'''" + "a" + "'''", "f'{1}'", "rb'a'", "1 if 1 else 2", "lambda:0", "[*[1]]", "{**{}}", "[x for x in ()]",
                     "not 1", "1 .real", "open('x')", "1<2", "a", "1;2", "1 # 2", "{1:2}[1]", "(1+2j)+1", "1+2j+3", "--1", "-[1]", "+", "1+",
                     "[" * 100 + "]" * 100, "'" * 3 + "'[" * 100, ""):
            with self.assertRaises((ValueError, SyntaxError), msg=text[:40]):
                sdk.decode("serpent", text.encode())

    def test_values(self):
        """Whatever serpent writes is read back: random values, and the forms that other writers have."""
        r = random.Random(7)

        def value(depth):
            kinds = ["none", "bool", "int", "huge", "float", "complex", "str", "bytes"] + ["list", "tuple", "set", "dict"] * (depth > 0)
            kind = r.choice(kinds)
            if kind in ("list", "tuple", "dict", "set"):
                n = r.randrange(4)
                if kind == "dict":
                    return {key(): value(depth - 1) for _ in range(n)}
                if kind == "set":
                    return {key() for _ in range(n + 1)}
                return {"list": list, "tuple": tuple}[kind](value(depth - 1) for _ in range(n))
            return {"none": lambda: None, "bool": lambda: r.random() < .5, "int": lambda: r.randrange(-99, 99), "huge": lambda: -r.getrandbits(300),
                    "float": lambda: r.choice((0.5, -1e300, 1e-9, math.inf, -math.inf, 3.0)),
                    "complex": lambda: complex(r.choice((1, -1.5)), r.choice((2, -2e9))), "str": text, "bytes": lambda: text().encode("utf-8", "surrogatepass")}[kind]()

        def text():
            return "".join(r.choice("ab'\"\\\n\r\0\u2028é€𝄞[{(,:+-#0 ") for _ in range(r.randrange(8)))

        def key():
            return r.choice((text, lambda: r.randrange(9), lambda: (r.randrange(3), text()), lambda: None, lambda: 0.5))()

        for _ in range(5000):
            v = value(4)
            data = sdk.encode("serpent", v)
            self.assertEqual(sdk.decode("serpent", data), sdk.restore(ast.literal_eval(data.decode("utf-8", "surrogatepass").partition("\n")[2])))
        for written, want in (("b'a'", b"a"), ("u'a'", "a"), (" [ 1 , -2 ,+3, ] ", [1, -2, 3]), ("( 1 , )", (1,)), ("0x1F", 31), ("1_000", 1000), ("(-1.5-2e-9j)", -1.5 - 2e-9j),
                              ("1e30000", math.inf), ("{'a': -1e5, }", {"a": -1e5}), ("'\\\\'", "\\"), (".5", .5), ("5.", 5.0), ("-1e+5", -1e5), ("{1,2}", {1, 2})):
            self.assertEqual(sdk.decode("serpent", written.encode()), want, written)


class CallTest(unittest.TestCase):
    def test_over_while_waiting(self):
        """A call whose deadline passed while it waited for others of its instance does not begin."""
        began = []

        @sdk.plugin(mode="single")
        class Tool:
            @sdk.method
            def run(self):
                began.append(1)
                return len(began)

        server = sdk.Server([Tool])
        server.id = "acme.tool"
        call = {"object": "acme.tool", "kind": sdk.INVOKE, "method": "run", "serializer": "json",
                "payload": sdk.encode("json", {"object": "acme.tool", "method": "run", "params": [], "kwargs": {}})}
        self.assertEqual(server.call(dict(call, deadline_micros=1))["failure"]["code"], sdk.DEADLINE)
        self.assertEqual(began, [])
        for more in ({}, {"deadline_micros": 1 << 62}):
            self.assertNotIn("failure", server.call(dict(call, **more)))
        self.assertEqual(len(began), 2)

    def test_cancelled_while_waiting(self):
        """A call that was cancelled while it waited for another of its instance does not begin."""
        began, holding, opened = [], threading.Event(), threading.Event()

        @sdk.plugin(mode="session")
        class Tool:
            @sdk.method
            def hold(self):
                holding.set()
                opened.wait()

            @sdk.method
            def run(self):
                began.append(1)

        server = sdk.Server([Tool])
        server.id = "acme.tool"

        def call(method):
            return {"object": "acme.tool", "kind": sdk.INVOKE, "method": method, "serializer": "json", "conn": 1, "over": threading.Event(),
                    "payload": sdk.encode("json", {"object": "acme.tool", "method": method, "params": [], "kwargs": {}})}

        first, second = call("hold"), call("run")
        held = server.pool.submit(server.call, first)
        holding.wait()
        waits = server.pool.submit(server.call, second)
        second["over"].set()
        opened.set()
        self.assertNotIn("failure", held.result())
        self.assertEqual(waits.result()["failure"]["code"], sdk.CANCELED)
        self.assertEqual(began, [])
        self.assertNotIn("failure", server.call(call("run")))
        self.assertEqual(len(began), 1)


class Messages(unittest.TestCase):
    """The layouts of the messages are those of plugin.proto."""

    NAMES = {"StreamRequest": "CloseStreamRequest", "ConnRequest": "EndConnRequest"}
    FOREIGN = {"HEALTH_REQUEST", "HEALTH_REPLY", "CONN_INFO", "NOTHING"}  # of gRPC and go-plugin
    KINDS = {"string": "text", "bytes": "bytes", "bool": "bool"}

    def test_layouts(self):
        path = pathlib.Path(__file__).parent / "../../rpc/plugin.proto"
        text = re.sub(r"//.*", "", path.read_text())
        text = re.sub(r"(?s)oneof \w+ {(.*?)}", r"\1", text)
        messages = dict(re.findall(r"(?s)message (\w+) {(.*?)}", text))
        layouts = {n: v for n, v in vars(sdk).items() if n.isupper() and isinstance(v, dict) and v and n not in self.FOREIGN
                   and all(isinstance(k, int) and isinstance(f, tuple) and len(f) == 2 for k, f in v.items())}
        names = {id(v): n for n, v in layouts.items()}
        checked = 0
        for name, layout in layouts.items():
            title = name.title().replace("_", "")
            title = self.NAMES.get(title, title)
            want = {}
            for repeated, kind, field, number in re.findall(r"(repeated )?(?:optional )?(\w+) (\w+) = (\d+);", messages[title]):
                want[int(number)] = (field, bool(repeated), kind)
            self.assertEqual(set(want), set(layout), title)
            for number, (field, of) in layout.items():
                repeated, of = isinstance(of, list), of[0] if isinstance(of, list) else of
                kind = want[number][2]
                if isinstance(of, dict):
                    of = names[id(of)].title().replace("_", "")
                else:
                    kind = self.KINDS.get(kind, "int")
                self.assertEqual((field, repeated, of), (want[number][0], want[number][1], kind), title)
                checked += 1
        self.assertGreater(checked, 60)


class Values(unittest.TestCase):
    def test_store_values(self):
        for v in [None, True, 3, -(1 << 70), 1.0, 1e300, math.inf, 'a"\xe4\n\ud800', "$x", b"\0x", [1, (2, {3})], 1j, {},
                  {"$a": 1, 5: 2, None: 3, True: 4, 0.5: 6, b"k": 7}, {"$int": 5}]:
            got = sdk.load_value(sdk.dump_value(v))
            self.assertEqual((type(got), got), (type(v), v))
        for v in [object(), {(1,): 2}, complex(math.inf, 0), len]:
            self.assertRaises(TypeError, sdk.dump_value, v)
        deep = []
        for _ in range(100):
            deep = [deep]
        self.assertRaises(TypeError, sdk.dump_value, deep)


if __name__ == "__main__":
    unittest.main()
