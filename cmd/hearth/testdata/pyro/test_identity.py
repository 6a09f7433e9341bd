"""Real Pyro4 clients that prove who they are: TLS, mutual TLS, _pyroHmacKey, and the
channels of clients/python/hearth.py.

Run by pyroidentity_test.go. Environment: HEARTH_DIR (files), HEARTH_PORTS (host:port of
each listener, by commas), HEARTH_CLIENT (folder of hearth.py).
"""

import os
import sys
import unittest

import Pyro4
import Pyro4.socketutil

sys.path.insert(0, os.environ["HEARTH_CLIENT"])
import hearth  # noqa: E402

DIR = os.environ["HEARTH_DIR"]
SIGNED, TLS, STRICT, OLD, PEER = os.environ["HEARTH_PORTS"].split(",")
Pyro4.config.SERIALIZER = "serpent"


def path(name):
    return os.path.join(DIR, name)


def who(port, key=None):
    setattr(Pyro4.socketutil, "__ssl_client_context", None)  # which it would keep for ever
    with Pyro4.Proxy("PYRO:me.who@" + port) as p:
        p._pyroTimeout = 20
        if key is not None:
            p._pyroHmacKey = key
        return p.who()


class RealTLS(unittest.TestCase):
    """Pyro4's own SSL support."""

    def setUp(self):
        Pyro4.config.SSL = True
        Pyro4.config.SSL_CACERTS = path("ca.pem")
        Pyro4.config.SSL_CLIENTCERT = Pyro4.config.SSL_CLIENTKEY = ""

    def tearDown(self):
        Pyro4.config.SSL = False

    def cert(self, name):
        Pyro4.config.SSL_CLIENTCERT, Pyro4.config.SSL_CLIENTKEY = path(name + ".pem"), path(name + ".key")

    def refused(self, port, *texts):
        with self.assertRaises(Pyro4.errors.CommunicationError) as caught:
            who(port)
        text = str(caught.exception).lower()
        self.assertTrue(any(t in text for t in texts), text)

    def test_mutual(self):
        for name in "alice", "bob":
            self.cert(name)
            self.assertEqual(who(TLS), name + " tls")
        self.cert("alice")
        self.assertEqual(who(STRICT), "alice tls")

    def test_no_certificate(self):
        self.refused(TLS, "access denied")
        # The host's alert may come before or after what the client writes.
        self.refused(STRICT, "certificate required", "closed", "reset", "broken pipe", "not enough data")

    def test_wrong_certificate(self):
        self.cert("mallory")
        self.refused(TLS, "access denied")
        for name in "expired", "forged", "tomorrow":
            self.cert(name)
            self.refused(TLS, "alert", "closed", "reset", "broken pipe", "not enough data")

    def test_wrong_host(self):
        Pyro4.config.SSL_CACERTS = path("ca2.pem")
        self.refused(TLS, "certificate verify failed")

    def test_plain_port(self):
        self.refused(OLD, "ssl", "eof", "closed", "reset")

    def test_calls(self):
        self.cert("alice")
        with Pyro4.Proxy("PYRO:demo.counter@" + TLS) as c:
            before = c.total
            self.assertEqual(c.add(2), before + 2)
            self.assertEqual(c.total, before + 2)
            b = Pyro4.batch(c)
            b.add(1)
            b.add(1)
            self.assertEqual(list(b()), [before + 3, before + 4])
            with self.assertRaises(TypeError):
                c.total = "x"


class Signatures(unittest.TestCase):
    """Pyro4's _pyroHmacKey."""

    KEY = b"a shared secret of alice"

    def test_right(self):
        self.assertEqual(who(OLD, self.KEY), "alice tcp")

    def test_wrong(self):
        for key in b"another secret, as long", b"x":
            with self.assertRaises(Pyro4.errors.CommunicationError) as caught:
                who(OLD, key)
            self.assertIn("hmac", str(caught.exception))

    def test_none(self):
        with self.assertRaises(Pyro4.errors.CommunicationError) as caught:
            who(OLD)
        self.assertIn("access denied", str(caught.exception))

    def test_not_taken(self):
        with self.assertRaises(Pyro4.errors.CommunicationError) as caught:
            who(PEER, self.KEY)
        self.assertIn("hmac", str(caught.exception))

    def test_calls(self):
        with Pyro4.Proxy("PYRO:demo.counter@" + OLD) as c:
            c._pyroHmacKey = self.KEY
            before = c.total
            c._pyroTimeout = 20
            for i in range(20):
                self.assertEqual(c.add(1), before + i + 1)
            b = Pyro4.batch(c)
            b.add(1)
            self.assertEqual(list(b()), [before + 21])
            with self.assertRaises(TypeError):
                c.total = "x"
            c.reset()
            self.assertGreaterEqual(before + 21, c.total)


class Channels(unittest.TestCase):
    """clients/python/hearth.py against the real host."""

    def profile(self, address, channel, **more):
        p = {"address": address, "channel": channel}
        p.update((k, path(v)) for k, v in more.items())
        return p

    def who(self, profile):
        with hearth.proxy4("me.who", profile, timeout=20) as p:
            return p.who()

    def test_proofs(self):
        for profile, want in [
            (self.profile(SIGNED, "hmac", key="alice.key.txt"), "alice hmac"),
            (self.profile(SIGNED, "hmac", key="bob.key.txt"), "bob hmac"),
            (self.profile(TLS, "hmac", key="bob.key.txt"), "bob hmac"),
            (self.profile(TLS, "tls", ca="ca.pem", key="bob.key.txt"), "bob tls"),
            (self.profile(TLS, "tls", ca="ca.pem", cert="alice.pem", cert_key="alice.key"), "alice tls"),
            (self.profile(STRICT, "tls", ca="ca.pem", cert="alice.pem", cert_key="alice.key"), "alice tls"),
        ]:
            self.assertEqual(self.who(profile), want)

    def test_refusals(self):
        for profile, want in [
            (self.profile(SIGNED, "hmac", key="unknown.txt"), "key"),
            (self.profile(SIGNED, "plain"), "plain connections are not taken here"),
            (self.profile(TLS, "tls", ca="ca2.pem", key="bob.key.txt"), "certificate verify failed"),
        ]:
            with self.assertRaises(Pyro4.errors.CommunicationError) as caught:
                self.who(profile)
            self.assertIn(want, str(caught.exception))

    def test_calls(self):
        for profile in (self.profile(SIGNED, "hmac", key="alice.key.txt"),
                        self.profile(TLS, "tls", ca="ca.pem", cert="alice.pem", cert_key="alice.key")):
            with hearth.proxy4("demo.counter", profile, timeout=20) as c:
                before = c.total
                for i in range(20):
                    self.assertEqual(c.add(1), before + i + 1)
                with self.assertRaises(TypeError):
                    c.total = "x"


if __name__ == "__main__":
    unittest.main(verbosity=2)
