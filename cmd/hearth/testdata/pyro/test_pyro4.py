"""An unmodified Pyro4 client against a running hearth: every test talks to the objects
of scripts/demo and knows only what the Pyro4 manual says.

Run by interop_test.go. Environment: HEARTH_TCP (host:port) and HEARTH_UNIX (path).
"""

import datetime
import decimal
import math
import os
import threading
import time
import unittest
import uuid

import Pyro4
import Pyro4.errors
import Pyro4.naming
import Pyro4.util
from Pyro4.utils import httpgateway

TCP = os.environ["HEARTH_TCP"]
UNIX = os.environ["HEARTH_UNIX"]
HOST, PORT = TCP.rsplit(":", 1)
PORT = int(PORT)

# Those that the host accepts. marshal is refused, see test_marshal_is_refused; pickle
# and its relatives too.
SERIALIZERS = ["serpent", "json", "msgpack"]

Pyro4.config.COMMTIMEOUT = 30.0


def proxy(name, serializer="serpent", location=None):
    p = Pyro4.Proxy("PYRO:demo.%s@%s" % (name, location or TCP))
    p._pyroSerializer = serializer
    return p


class EachSerializer(unittest.TestCase):
    """Runs body(serializer) as one subtest each."""

    def each(self, body):
        for name in SERIALIZERS:
            with self.subTest(serializer=name):
                body(name)


class Calls(EachSerializer):
    def test_positional(self):
        def body(s):
            with proxy("counter", s) as p:
                before = p.add(0)
                self.assertEqual(p.add(5), before + 5)
                self.assertEqual(p.add(), before + 6)
        self.each(body)

    def test_keywords(self):
        def body(s):
            with proxy("greeter", s) as p:
                self.assertEqual(p.hello("Ann"), "Hello, Ann!")
                self.assertEqual(p.hello("Ann", greeting="Good day"), "Good day, Ann!")
                self.assertEqual(p.hello("Zoë 😀", greeting="Grüezi"), "Grüezi, Zoë 😀!")
        self.each(body)

    def test_attributes(self):
        def body(s):
            with proxy("counter", s) as p:
                p.total = 7
                self.assertEqual(p.total, 7)
                self.assertEqual(p.add(1), 8)
                with self.assertRaises(TypeError):
                    p.total = "many"
                self.assertEqual(p.total, 8)
                with self.assertRaises(AttributeError):
                    p.nothing_of_this_name
                with self.assertRaises(AttributeError):
                    p.nothing_of_this_name = 1
        self.each(body)

    def test_oneway(self):
        def body(s):
            with proxy("counter", s) as p:
                p.total = 5
                self.assertIn("reset", p._pyroOneway)
                self.assertIsNone(p.reset())
                eventually(self, lambda: p.total == 0)
        self.each(body)

    def test_oneway_that_fails_says_nothing(self):
        with proxy("errors") as p:
            p._pyroBind()
            p._pyroOneway.add("value")
            self.assertIsNone(p.value())
            p._pyroOneway.discard("value")
            with self.assertRaises(ValueError):
                p.value()

    def test_no_result(self):
        def body(s):
            with proxy("echo", s) as p:
                self.assertIsNone(p.nothing())
        self.each(body)

    def test_object_calls_object(self):
        with proxy("counter") as c, proxy("relay") as r:
            before = c.total
            self.assertEqual(r.add(3), before + 3)

    def test_caller_is_the_user_of_the_client(self):
        with proxy("greeter") as p:
            self.assertEqual(p.whoami(), "me")

    def test_compressed(self):
        Pyro4.config.COMPRESSION = True
        try:
            def body(s):
                with proxy("echo", s) as p:
                    text = "hearth " * 20000
                    self.assertEqual(p.echo(text), text)
            self.each(body)
        finally:
            Pyro4.config.COMPRESSION = False

    def test_async_proxy(self):
        with proxy("echo") as p:
            p._pyroAsync()
            results = [p.echo(i) for i in range(10)]
            self.assertEqual([r.value for r in results], list(range(10)))

    def test_threads_share_a_single_object(self):
        with proxy("counter") as p:
            p.total = 0

            def work():
                with proxy("counter") as mine:
                    for _ in range(50):
                        mine.add(1)
            threads = [threading.Thread(target=work) for _ in range(8)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            self.assertEqual(p.total, 400)

    def test_sequence_numbers_wrap(self):
        with proxy("fresh") as p:
            p._pyroBind()
            p._pyroSeq = 65533
            for _ in range(5):
                self.assertEqual(p.visit(), 1)

    def test_correlation_id_comes_back(self):
        mine = uuid.uuid4()
        Pyro4.current_context.correlation_id = mine
        try:
            with proxy("fresh") as p:
                self.assertEqual(p.visit(), 1)
                self.assertEqual(Pyro4.current_context.correlation_id, mine)
        finally:
            Pyro4.current_context.correlation_id = None

    def test_unix_socket(self):
        def body(s):
            with proxy("fresh", s, "./u:" + UNIX) as p:
                self.assertEqual(p.visit(), 1)
        self.each(body)

    def test_marshal_is_refused(self):
        with proxy("counter", "marshal") as p:
            with self.assertRaises(Pyro4.errors.CommunicationError):
                p.add(1)

    def test_pickle_is_refused(self):
        with proxy("counter", "pickle") as p:
            with self.assertRaises(Pyro4.errors.CommunicationError):
                p.add(1)


class Batches(EachSerializer):
    def test_results_in_order(self):
        def body(s):
            with proxy("counter", s) as p:
                p.total = 0
                b = Pyro4.batch(p)
                b.add(1)
                b.add(2)
                b.add(3)
                self.assertEqual(list(b()), [1, 3, 6])
        self.each(body)

    def test_exception_inside(self):
        def body(s):
            with proxy("shelf", s) as p:
                b = Pyro4.batch(p)
                b.put("k", 1)
                b.get("missing")
                b.put("never", 1)
                results = b()
                self.assertIsNone(next(results))
                with self.assertRaises(KeyError):
                    next(results)
                self.assertNotIn("never", p.keys())
                p.delete("k")
        self.each(body)

    def test_oneway(self):
        with proxy("counter") as p:
            p.total = 0
            b = Pyro4.batch(p)
            b.add(1)
            b.add(1)
            self.assertIsNone(b(oneway=True))
            eventually(self, lambda: p.total == 2)

    def test_empty(self):
        with proxy("counter") as p:
            self.assertEqual(list(Pyro4.batch(p)()), [])

    def test_private_name_fails_the_batch(self):
        with proxy("counter") as p:
            p.total = 0
            with self.assertRaises((AttributeError, Pyro4.errors.DaemonError)):
                p._pyroInvokeBatch([("add", (1,), {}), ("__init__", (), {})])
            self.assertIn(p.total, (0, 1))


class Streams(EachSerializer):
    def test_to_the_end(self):
        def body(s):
            with proxy("ticker", s) as p:
                self.assertEqual(list(p.countdown(3)), [3, 2, 1])
                self.assertEqual(list(p.countdown(0)), [])
        self.each(body)

    def test_two_at_once(self):
        with proxy("ticker") as p:
            a, b = p.countdown(3), p.countdown(2)
            self.assertEqual([next(a), next(b), next(a), next(b), next(a)], [3, 2, 2, 1, 1])

    def test_closed_early(self):
        def body(s):
            with proxy("ticker", s) as p:
                it = p.countdown(1000)
                self.assertEqual(next(it), 1000)
                it.close()
                self.assertEqual(list(p.countdown(1)), [1])
        self.each(body)

    def test_error_in_the_stream(self):
        def body(s):
            with proxy("ticker", s) as p:
                it = p.fail_after(2)
                self.assertEqual([next(it), next(it)], [1, 2])
                with self.assertRaises(ValueError) as caught:
                    next(it)
                self.assertEqual(caught.exception.args, ("the stream broke",))
                with self.assertRaises(Pyro4.errors.PyroError):
                    next(it)
                self.assertEqual(list(p.countdown(1)), [1])
        self.each(body)

    def test_unknown_stream(self):
        with Pyro4.Proxy("PYRO:Pyro.Daemon@" + TCP) as d:
            with self.assertRaises(Pyro4.errors.PyroError):
                d.get_next_stream_item("no such stream")
            self.assertIsNone(d.close_stream("no such stream"))


class Errors(EachSerializer):
    def test_classes(self):
        def body(s):
            with proxy("errors", s) as p:
                with self.assertRaises(ValueError) as caught:
                    p.value()
                self.assertEqual(caught.exception.args, ("that value is no good",))
                with self.assertRaises(KeyError) as caught:
                    p.key("nope")
                self.assertEqual(caught.exception.args, ("nope",))
                with self.assertRaisesRegex(RuntimeError, "plain trouble"):
                    p.plain()
                with self.assertRaises(RuntimeError):
                    p.bug()
                self.assertIsNotNone(p._pyroConnection, "ordinary errors keep the connection")
        self.each(body)

    def test_class_of_its_own_keeps_its_name_in_the_text(self):
        def body(s):
            with proxy("errors", s) as p:
                with self.assertRaises(Exception) as caught:
                    p.custom()
                self.assertNotIsInstance(caught.exception, Pyro4.errors.CommunicationError)
                self.assertIn("ShopClosed", str(caught.exception))
                self.assertIn("come back tomorrow", str(caught.exception))
                self.assertIsNotNone(p._pyroConnection)
        self.each(body)

    def test_traceback_is_text(self):
        def body(s):
            with proxy("errors", s) as p:
                with self.assertRaises(ValueError) as caught:
                    p.value()
                text = "".join(Pyro4.util.getPyroTraceback(type(caught.exception), caught.exception, None))
                self.assertIn("errors", text)
                self.assertIn("that value is no good", text)
                self.assertNotIn("/scripts/", text, "no path of the host in a traceback")
        self.each(body)


class Refused(unittest.TestCase):
    NAMES = ["_private", "__init__", "__class__", "__dict__", "init", "close", "add.x", "self.add", "no_such",
             "", "аdd", "add\n", "expose", "x" * 5000]

    def test_names(self):
        with proxy("counter") as p:
            p.total = 1
            for name in self.NAMES:
                with self.subTest(name=name[:20]):
                    with self.assertRaises((AttributeError, Pyro4.errors.DaemonError)):
                        p._pyroInvoke(name, (), {})
                    self.assertEqual(p.total, 1)

    def test_attribute_names(self):
        with proxy("counter") as p:
            p.total = 1
            for name in self.NAMES + ["n", "add", "reset"]:
                with self.subTest(name=name[:20]):
                    with self.assertRaises((AttributeError, Pyro4.errors.DaemonError)):
                        p._pyroInvoke("__getattr__", (name,), None)
                    with self.assertRaises((AttributeError, Pyro4.errors.DaemonError)):
                        p._pyroInvoke("__setattr__", (name, 9), None)
            self.assertEqual(p.total, 1)

    def test_unknown_and_forbidden_objects_look_the_same(self):
        texts = set()
        for name in ["demo.nosuch", "nobody.nothing", "other.secret", "nonsense", "..", "demo.lib.util", "demo.counter.lua"]:
            with self.subTest(object=name):
                with Pyro4.Proxy("PYRO:%s@%s" % (name, TCP)) as p:
                    with self.assertRaises(Pyro4.errors.CommunicationError) as caught:
                        p._pyroBind()
                    texts.add(str(caught.exception))
        self.assertEqual(len(texts), 1, texts)

    def test_unknown_and_forbidden_objects_look_the_same_in_a_call(self):
        texts = set()
        with proxy("fresh") as p:
            p._pyroBind()
            for name in ["demo.nosuch", "nobody.nothing", "other.secret", "demo.lib.util"]:
                with self.assertRaises(Pyro4.errors.DaemonError) as caught:
                    p._pyroInvoke("visit", (), {}, objectId=name)
                texts.add(str(caught.exception))
            self.assertEqual(p.visit(), 1)
        self.assertEqual(len(texts), 1, texts)

    def test_too_deep(self):
        deep = []
        for _ in range(120):
            deep = [deep]
        with proxy("echo") as p:
            with self.assertRaises(Exception) as caught:
                p.echo(deep)
            self.assertNotIsInstance(caught.exception, Pyro4.errors.CommunicationError)
            self.assertEqual(p.echo(1), 1)

    def test_result_that_no_client_could_read(self):
        with proxy("echo", "msgpack") as p:
            with self.assertRaises(Exception):
                p.echo({1: "a"})
            self.assertEqual(p.echo(1), 1)


class NameServer(unittest.TestCase):
    def setUp(self):
        self.ns = Pyro4.locateNS(HOST, PORT)

    def tearDown(self):
        self.ns._pyroRelease()

    def test_lookup(self):
        uri = self.ns.lookup("demo.counter")
        self.assertIsInstance(uri, Pyro4.URI)
        self.assertEqual(str(uri), "PYRO:demo.counter@" + TCP)
        with Pyro4.Proxy(uri) as p:
            p.add(0)
        uri, tags = self.ns.lookup("demo.counter", return_metadata=True)
        self.assertIn("tenant:demo", tags)
        with self.assertRaises(Pyro4.errors.NamingError):
            self.ns.lookup("demo.nosuch")
        with self.assertRaises(Pyro4.errors.NamingError):
            self.ns.lookup("other.secret")

    def test_pyroname(self):
        with Pyro4.Proxy("PYRONAME:demo.fresh@" + TCP) as p:
            self.assertEqual(p.visit(), 1)
        with Pyro4.Proxy("PYRONAME:demo.nosuch@" + TCP) as p:
            with self.assertRaises(Pyro4.errors.NamingError):
                p._pyroBind()

    def test_pyrometa(self):
        uri = Pyro4.naming.resolve("PYROMETA:hearth,tenant:demo@" + TCP)
        self.assertTrue(uri.object.startswith("demo."), uri)
        with self.assertRaises(Pyro4.errors.NamingError):
            Pyro4.naming.resolve("PYROMETA:no.such.tag@" + TCP)

    def test_list(self):
        everything = self.ns.list()
        self.assertIn("Pyro.NameServer", everything)
        self.assertEqual(everything["demo.counter"], "PYRO:demo.counter@" + TCP)
        self.assertFalse([n for n in everything if n.startswith("other.")], "only what the caller may call")
        self.assertEqual(len(everything), self.ns.count())
        self.assertEqual(set(self.ns.list(prefix="demo.s")), {"demo.shelf", "demo.session", "demo.slow"})
        self.assertEqual(set(self.ns.list(regex=r"demo\.(counter|ticker)$")), {"demo.counter", "demo.ticker"})
        self.assertEqual(self.ns.list(regex=r"counter"), {}, "a regex has to match from the start")
        self.assertEqual(set(self.ns.list(metadata_all=["tenant:demo", "hearth"])),
                         {n for n in everything if n.startswith("demo.")})
        with self.assertRaises(ValueError):
            self.ns.list(prefix="a", regex="b")
        with self.assertRaises(Pyro4.errors.NamingError):
            self.ns.list(regex="(")

    def test_read_only(self):
        for change in [lambda: self.ns.register("demo.mine", "PYRO:x@localhost:1"),
                       lambda: self.ns.register("demo.counter", "PYRO:x@localhost:1"),
                       lambda: self.ns.remove("demo.counter"),
                       lambda: self.ns.set_metadata("demo.counter", {"x"})]:
            with self.assertRaises(Pyro4.errors.NamingError):
                change()
        self.assertEqual(str(self.ns.lookup("demo.counter")), "PYRO:demo.counter@" + TCP)


class HostBatches(EachSerializer):
    """Batches of the host's own objects, as Pyro's HTTP gateway makes them for its home page."""

    def test_lookups(self):
        def body(s):
            with Pyro4.locateNS(HOST, PORT) as ns:
                ns._pyroSerializer = s
                names = sorted(ns.list(prefix="demo."))[:10]
                self.assertGreater(len(names), 3)
                with Pyro4.batch(ns) as b:
                    for name in names:
                        b.lookup(name)
                    uris = [str(uri) for uri in b()]
                self.assertEqual(uris, ["PYRO:%s@%s" % (name, TCP) for name in names])
        self.each(body)

    def test_home_page_of_the_http_gateway(self):
        with Pyro4.locateNS(HOST, PORT) as ns:
            httpgateway._nameserver = ns
            httpgateway.pyro_app.ns_regex = r"demo\."
            status = []
            page = httpgateway.return_homepage({}, lambda code, headers: status.append(code))
            self.assertEqual(status, ["200 OK"])
            self.assertIn("demo.counter", b"".join(page).decode())

    def test_exception_ends_it(self):
        def body(s):
            with Pyro4.locateNS(HOST, PORT) as ns:
                ns._pyroSerializer = s
                b = Pyro4.batch(ns)
                b.count()
                b.lookup("demo.nosuch")
                b.count()
                results = b()
                self.assertGreater(next(results), 0)
                with self.assertRaises(Pyro4.errors.NamingError):
                    next(results)
                self.assertEqual(list(results), [])
        self.each(body)

    def test_daemon(self):
        def body(s):
            with Pyro4.Proxy("PYRO:Pyro.Daemon@" + TCP) as d:
                d._pyroSerializer = s
                b = Pyro4.batch(d)
                b.ping()
                b.info()
                b.registered()
                b.get_metadata("demo.counter", as_lists=True)
                pong, info, known, meta = b()
                self.assertIsNone(pong)
                self.assertIn("hearth", info)
                self.assertEqual(known, d.registered())
                self.assertEqual(sorted(meta["methods"]), ["add", "reset"])
                b = Pyro4.batch(d)
                b.ping()
                b.shutdown()
                with self.assertRaises(AttributeError):
                    b()
        self.each(body)


class DaemonObject(unittest.TestCase):
    def test_methods(self):
        with Pyro4.Proxy("PYRO:Pyro.Daemon@" + TCP) as d:
            self.assertIsNone(d.ping())
            self.assertIn("hearth", d.info())
            known = d.registered()
            self.assertIn("Pyro.Daemon", known)
            self.assertIn("demo.counter", known)
            self.assertFalse([n for n in known if n.startswith("other.")])
            meta = d.get_metadata("demo.counter")
            self.assertEqual(set(meta["methods"]), {"add", "reset"})
            self.assertEqual(set(meta["oneway"]), {"reset"})
            self.assertEqual(set(meta["attrs"]), {"total"})
            lists = d.get_metadata("demo.counter", as_lists=True)
            self.assertIsInstance(lists["methods"], list)
            for name in ["demo.nosuch", "other.secret"]:
                with self.assertRaises(Pyro4.errors.DaemonError):
                    d.get_metadata(name)


class Lifetime(unittest.TestCase):
    def test_single_is_shared(self):
        with proxy("counter") as a, proxy("counter") as b:
            a.total = 10
            b.add(1)
            self.assertEqual(a.total, 11)

    def test_session_is_one_a_connection(self):
        with proxy("session") as a, proxy("session") as b:
            self.assertEqual([a.visit(), a.visit(), b.visit(), a.visit()], [1, 2, 1, 3])
            a._pyroRelease()
            self.assertEqual(a.visit(), 1, "a new connection is a new session")

    def test_call_is_fresh(self):
        with proxy("fresh") as p:
            self.assertEqual([p.visit(), p.visit()], [1, 1])

    def test_release_and_reconnect(self):
        with proxy("fresh") as p:
            self.assertEqual(p.visit(), 1)
            p._pyroRelease()
            self.assertEqual(p.visit(), 1)
            p._pyroReconnect(tries=1)
            self.assertEqual(p.visit(), 1)

    def test_timeout_then_works_again(self):
        with proxy("slow") as p:
            p._pyroBind()
            p._pyroTimeout = 0.02
            with self.assertRaises(Pyro4.errors.TimeoutError):
                p.spin(5000000)
            p._pyroTimeout = 30
            self.assertEqual(p.spin(10), 10)

    def test_endless_call_is_stopped_and_others_go_on(self):
        with proxy("slow") as p, proxy("counter") as other:
            other.add(1)
            with self.assertRaises(Exception) as caught:
                p.forever()
            self.assertNotIsInstance(caught.exception, Pyro4.errors.TimeoutError)
            self.assertEqual(p.spin(3), 3)
            other.add(1)


class Values(EachSerializer):
    # value, then what comes back with serpent, json and msgpack. REFUSED: the client's
    # serializer does not take it, so that there is nothing to test.
    REFUSED = object()

    def table(self):
        R = self.REFUSED
        same = [
            None, True, False, 0, 1, -1, 2**31, 2**53 + 1, -2**53 - 1, 2**63 - 1, -2**63, 2**63, 2**64 - 1, 2**64,
            -2**63 - 1, 10**30, -10**30, 0.0, 1.5, -2.25, 1e300, 5e-324, 1e16, float("inf"), float("-inf"), 1.0,
            "", "text", "é€😀", "quote ' and \"", "line\nfeed\ttab\x00nul\x7f\u2028", "x" * 100000,
            [], {}, [[]], [{}], {"a": []}, {"a": {}}, [None], [None, 1, None], [1, None], {"a": None}, {"": 1},
            [1, [2, [3, [None, [4]]]]], {"a": [1, {"b": None, "c": [True, False]}]}, {"1": "text key"},
            {"init": 1, "expose": 2, "n": 3, "1": 1}, list(range(1000)), {"k%d" % i: i for i in range(300)},
        ]
        rows = [(v, v, v, v) for v in same]
        when = datetime.datetime(2001, 2, 3, 4, 5, 6)
        precise = datetime.datetime(2001, 2, 3, 4, 5, 6, 7)
        day = datetime.date(2001, 2, 3)
        ident = uuid.UUID("12345678-1234-5678-1234-567812345678")
        rows += [
            ((), (), [], []),
            ((1,), (1,), [1], [1]),
            ((1, "b", None), (1, "b", None), [1, "b", None], [1, "b", None]),
            ([(1, 2), [3]], [(1, 2), [3]], [[1, 2], [3]], [[1, 2], [3]]),
            ({7}, {7}, [7], [7]),
            ({1, 2, 3}, {1, 2, 3}, R, R),
            (set(), (), [], []),
            (frozenset([7]), {7}, R, R),
            (b"\x00\xff", {"data": "AP8=", "encoding": "base64"}, R, b"\x00\xff"),
            (b"", {"data": "", "encoding": "base64"}, R, b""),
            ([b"a"], [{"data": "YQ==", "encoding": "base64"}], R, [b"a"]),
            (1 + 2j, 1 + 2j, R, 1 + 2j),
            ({1: "a"}, {1: "a"}, {"1": "a"}, R),
            ({1: "a", "1": "b"}, {1: "a", "1": "b"}, R, R),
            ({1.5: "a"}, {1.5: "a"}, {"1.5": "a"}, R),
            ({True: "a"}, {True: "a"}, {"true": "a"}, R),
            ({(1, 2): "a"}, {(1, 2): "a"}, R, R),
            (when, "2001-02-03T04:05:06", "2001-02-03T04:05:06", when),
            (precise, "2001-02-03T04:05:06.000007", "2001-02-03T04:05:06.000007", precise),
            (day, "2001-02-03", "2001-02-03", day),
            ([day], ["2001-02-03"], ["2001-02-03"], [day]),
            (datetime.time(4, 5, 6), "04:05:06", R, R),
            (datetime.timedelta(days=1, seconds=2.5), 86402.5, R, R),
            (ident, str(ident), str(ident), str(ident)),
            (decimal.Decimal("1.50"), "1.50", "1.50", "1.50"),
            ("\ud800", "\ud800", R, R),
        ]
        return rows

    def test_round_trip(self):
        for column, s in enumerate(SERIALIZERS, 1):
            with proxy("echo", s) as p:
                for row in self.table():
                    value, want = row[0], row[column]
                    if want is self.REFUSED:
                        continue
                    with self.subTest(serializer=s, value=repr(value)[:60]):
                        got = p.echo(value)
                        self.assertEqual(got, want)
                        if type(want) is float and want.is_integer() and abs(want) <= 2 ** 53:
                            continue  # Lua has one kind of number: whole ones come back as int
                        self.assertIs(type(got), type(want))
                        self.assertEqual(types(got), types(want))

    def test_several_arguments(self):
        def body(s):
            with proxy("echo", s) as p:
                self.assertEqual(p.several(1, None, [], {}, None), [1, None, [], {}, None])
        self.each(body)

    def test_signed_zero_and_nan(self):
        def body(s):
            with proxy("echo", s) as p:
                self.assertEqual(math.copysign(1, p.echo(-0.0)), -1)
                self.assertTrue(math.isnan(p.echo(float("nan"))))
        self.each(body)

    def test_values_made_in_lua(self):
        with proxy("echo") as p:
            self.assertEqual(p.samples(), {
                "null": None, "list": [], "dict": {}, "tuple": (1, 2), "big": 123456789012345678901234567890,
                "bytes": {"data": "cmF3", "encoding": "base64"}})
        with proxy("echo", "msgpack") as p:
            self.assertEqual(p.samples()["bytes"], b"raw")


def types(v):
    """The types of all values inside v: [1, True] and [1.0, 1] are equal otherwise."""
    if isinstance(v, dict):
        return sorted((repr(k), types(x)) for k, x in v.items())
    if isinstance(v, (list, tuple)):
        return [type(v).__name__] + [types(x) for x in v]
    return type(v).__name__


def eventually(test, condition):
    """Asks until condition holds; each question is a call, so that this does not spin."""
    end = time.monotonic() + 20
    while not condition():
        if time.monotonic() > end:
            test.fail("did not happen within 20 seconds")


if __name__ == "__main__":
    unittest.main(verbosity=2)
