"""An unmodified Pyro4 client that sends and asks for too much: it reads why, and its next call works.

Run by interop_test.go. Environment: HEARTH_TCP (host:port) and HEARTH_UNIX (path).
"""

import os
import unittest

import Pyro4
import Pyro4.errors

LOCATIONS = [os.environ["HEARTH_TCP"], "./u:" + os.environ["HEARTH_UNIX"]]

Pyro4.config.COMMTIMEOUT = 30.0


class TooLarge(unittest.TestCase):
    def each(self, body):
        for location in LOCATIONS:
            for serializer in ["serpent", "json", "msgpack"]:
                with self.subTest(location=location, serializer=serializer):
                    with Pyro4.Proxy("PYRO:demo.echo@" + location) as p:
                        p._pyroSerializer = serializer
                        body(p)
                        self.assertEqual(p.echo("next"), "next")

    def test_request(self):
        def body(p):
            for size in (9 << 20, 20 << 20):
                with self.assertRaisesRegex(Pyro4.errors.MessageTooLargeError,
                                            r"^max message size exceeded \(\d+ where max=8388608\); not executed$"):
                    p.echo("x" * size)
        self.each(body)

    def test_compressed_request(self):
        def body(p):
            Pyro4.config.COMPRESSION = True
            try:
                with self.assertRaisesRegex(Pyro4.errors.MessageTooLargeError,
                                            r"^message too large once decompressed \(max=8388608\); not executed$"):
                    p.echo("x" * (9 << 20))
            finally:
                Pyro4.config.COMPRESSION = False
        self.each(body)

    def test_result(self):
        def body(p):
            with self.assertRaisesRegex(TypeError, r"result has more than 1024 bytes in all"):
                p.echo("x" * 1025)
        self.each(body)


if __name__ == "__main__":
    unittest.main()
