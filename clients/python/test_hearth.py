"""Tests of hearth.py: standard library only, and no Hearth host needed.

    python3 -m unittest test_hearth             (in this folder)
    python3 test_hearth.py --write-vectors      writes testdata/channel.json anew

The host's side of the channel is here, written from the specification and sharing no code
with hearth.py. Most tests fix the nonces, so everything the host will ever say can be laid
into a socket pair before the client begins: no threads, nothing to wait for. Pyro4, Pyro5
and openssl are used where they are installed; what was left out is said at the end.
"""

import contextlib
import hashlib
import hmac
import http.server
import io
import itertools
import json
import os
import pickle
import select
import shutil
import socket
import ssl
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import unittest
from unittest import mock

import hearth

HERE = os.path.dirname(os.path.abspath(__file__))
VECTORS = os.path.join(HERE, "testdata", "channel.json")
SECRET = bytes(range(32))
CLIENT_NONCE = bytes(range(0x40, 0x60))
SERVER_NONCE = bytes(range(0x80, 0xa0))
KEY = hearth.Key("alice", SECRET)
KEY_LINE = "hearth-key-1 alice AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8 2026-01-31T12:00:00Z"
PATIENCE = 10       # seconds after which a test that hangs fails
_skipped = []


def tearDownModule():
    for text in _skipped:
        print("\n!! PYTHON CLIENT: SKIPPED: " + text, file=sys.stderr)     # on a separate line, for the CI script


def skip(text):
    if text not in _skipped:
        _skipped.append(text)
    raise unittest.SkipTest(text)


# --- the host's side ----------------------------------------------------------------------

def hkdf_extract(salt, key):
    return hmac.new(salt, key, hashlib.sha256).digest()


def hkdf_expand(prk, info, length):
    out, block, number = b"", b"", 1
    while len(out) < length:
        block = hmac.new(prk, block + info + bytes([number]), hashlib.sha256).digest()
        out, number = out + block, number + 1
    return out[:length]


class Host:
    """The host's side of one connection, without any I/O."""

    LABELS = ("server proof", "client proof", "client record", "server record")

    def __init__(self, secret=SECRET, id="alice", nonce=SERVER_NONCE):
        self.secret, self.id, self.nonce = secret, id, nonce
        self.counters = {"client record": 0, "server record": 0}

    def reply(self, hello):
        """The answer to a whole client hello; None if it is none. An unknown id is answered with another key."""
        if len(hello) < 9 or hello[:8] != b"HRTHMAC1" or not 1 <= hello[8] <= 64 or len(hello) != 9 + hello[8] + 32:
            return None
        known = hello[9:9 + hello[8]] == self.id.encode()
        secret = self.secret if known else hashlib.sha256(b"another key").digest()
        self.transcript = hashlib.sha256(hello + b"HRTHMAC1" + self.nonce).digest()
        self.prk = hkdf_extract(self.transcript, secret)
        self.keys = {label: hkdf_expand(self.prk, b"hearth hmac 1 " + label.encode(), 32) for label in self.LABELS}
        self.server_proof, self.client_proof = (
            hmac.new(self.keys[side + " proof"], self.transcript, hashlib.sha256).digest() for side in ("server", "client"))
        return b"HRTHMAC1" + self.nonce + self.server_proof

    def tag(self, label, counter, data):
        return hmac.new(self.keys[label], struct.pack(">QI", counter, len(data)) + data, hashlib.sha256).digest()

    def seal(self, data, label="server record"):
        counter = self.counters[label]
        self.counters[label] += 1
        return struct.pack(">I", len(data)) + data + self.tag(label, counter, data)

    def open(self, read, label="client record"):
        """One record's data through read(size); ValueError if it is a bad one, EOFError if the stream ends."""
        length = struct.unpack(">I", read(4))[0]
        if length > 65536:
            raise ValueError("too long")
        data, tag = read(length), read(32)
        if not hmac.compare_digest(tag, self.tag(label, self.counters[label], data)):
            raise ValueError("bad tag")
        self.counters[label] += 1
        return data


def hello_of(id=b"alice", nonce=CLIENT_NONCE):
    return b"HRTHMAC1" + bytes([len(id)]) + id + nonce


def greeted_host():
    host = Host()
    host.greeting = host.reply(hello_of())
    return host


def exactly(sock, size):
    data = b""
    while len(data) < size:
        chunk = sock.recv(size - len(data))
        if not chunk:
            raise EOFError
        data += chunk
    return data


def vectors():
    """Everything that follows from the fixed key and nonces, for testdata/channel.json."""
    host = greeted_host()
    big = bytes(i * 7 & 0xff for i in range(65536))
    records = []
    for direction, label in (("client", "client record"), ("server", "server record")):
        for data in (b"hello", b"\x00", direction.encode() + b" says\n\xff"):
            counter = host.counters[label]
            records.append({"sender": direction, "counter": counter, "data": data.hex(), "record": host.seal(data, label).hex()})
        records.append({"sender": direction, "counter": 3, "data_rule": "65536 bytes, byte i is 7*i mod 256",
                        "record_sha256": hashlib.sha256(host.seal(big, label)).hexdigest()})
        records.append({"sender": direction, "counter": 4, "data": "", "record": host.seal(b"", label).hex()})
    return {
        "comment": "The HMAC channel, version 1; bytes in hex. Written by test_hearth.py --write-vectors.",
        "key_file_line": KEY_LINE, "key_id": "alice", "key": SECRET.hex(),
        "client_nonce": CLIENT_NONCE.hex(), "server_nonce": SERVER_NONCE.hex(),
        "client_hello": hello_of().hex(), "transcript": host.transcript.hex(), "prk": host.prk.hex(),
        "keys": {"hearth hmac 1 " + label: key.hex() for label, key in host.keys.items()},
        "server_proof": host.server_proof.hex(), "client_proof": host.client_proof.hex(),
        "server_hello": host.greeting.hex(), "records": records,
    }


def flips(data):
    """data with one byte changed, for each byte: one bit, and all bits."""
    for i, mask in itertools.product(range(len(data)), (0x01, 0xff)):
        yield i, data[:i] + bytes([data[i] ^ mask]) + data[i + 1:]


# --- socket-pair tests --------------------------------------------------------------------

class ChannelCase(unittest.TestCase):
    """Fixes the client's nonce and makes clients whose host has already said everything."""

    def setUp(self):
        patch = mock.patch.object(hearth, "_new_nonce", lambda: CLIENT_NONCE)
        patch.start()
        self.addCleanup(patch.stop)
        self.host = greeted_host()

    def pair(self):
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        ours.settimeout(PATIENCE)
        theirs.settimeout(PATIENCE)
        return ours, theirs

    def client_after(self, said, end=True, key=KEY):
        """A client to whom the host has said all of said (and then hung up); the host's socket is in self.peer."""
        ours, self.peer = self.pair()
        self.peer.sendall(said)
        if end:
            self.peer.shutdown(socket.SHUT_WR)
        client = hearth.SignedSocket(ours, key)
        self.addCleanup(client.close)
        return client

    def client(self, *records, end=False):
        return self.client_after(self.host.greeting + b"".join(records), end)

    def read_records(self):
        """What the client has sent since its greeting, opened by the host."""
        self.assertEqual(exactly(self.peer, len(hello_of())), hello_of())
        self.assertEqual(exactly(self.peer, 32), self.host.client_proof)
        while True:
            data = self.host.open(lambda size: exactly(self.peer, size))
            yield data
            if not data:
                return

    def assert_broken(self, client):
        """All that can be done with the socket raises, and gives nothing."""
        buffer = bytearray(8)
        for what in (lambda: client.recv(1), lambda: client.recv(8, socket.MSG_WAITALL), lambda: client.recv(0),
                     lambda: client.recv(1, socket.MSG_PEEK), lambda: client.recv_into(buffer), lambda: client.send(b"x"),
                     lambda: client.sendall(b"x"), lambda: client.shutdown(socket.SHUT_WR)):
            self.assertRaises(hearth.IntegrityError, what)
        self.assertEqual(buffer, bytearray(8))
        self.assertEqual(client.fileno(), -1)
        client.close()


class VectorTest(ChannelCase):
    def test_hkdf_of_this_file(self):
        """RFC 5869, A.1."""
        prk = hkdf_extract(bytes(range(13)), b"\x0b" * 22)
        self.assertEqual(prk.hex(), "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5")
        self.assertEqual(hkdf_expand(prk, bytes(range(0xf0, 0xfa)), 42).hex(),
                         "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")

    def test_file_is_current(self):
        with open(VECTORS, encoding="utf-8") as file:
            self.assertEqual(json.load(file), vectors())

    def test_client_against_the_file(self):
        with open(VECTORS, encoding="utf-8") as file:
            v = json.load(file)
        by_sender = {side: [bytes.fromhex(r["record"]) for r in v["records"] if r["sender"] == side and "record" in r][:3]
                     for side in ("client", "server")}
        key = hearth._parse_key(v["key_file_line"])
        client = self.client_after(bytes.fromhex(v["server_hello"]) + b"".join(by_sender["server"]), end=False, key=key)
        self.assertEqual(client.recv(100), b"hello")
        self.assertEqual(client.recv(100), b"\x00")
        self.assertEqual(client.recv(100), b"server says\n\xff")
        for data in (b"hello", b"\x00", b"client says\n\xff"):
            client.sendall(data)
        want = bytes.fromhex(v["client_hello"] + v["client_proof"]) + b"".join(by_sender["client"])
        self.assertEqual(exactly(self.peer, len(want)), want)

    def test_schedule_against_the_file(self):
        with open(VECTORS, encoding="utf-8") as file:
            v = json.load(file)
        schedule = hearth._Schedule(KEY, bytes.fromhex(v["client_hello"]), bytes.fromhex(v["server_nonce"]))
        self.assertEqual(schedule.server_proof.hex(), v["server_proof"])
        self.assertEqual(schedule.client_proof.hex(), v["client_proof"])
        for record in v["records"]:
            mac = schedule.client_mac if record["sender"] == "client" else schedule.server_mac
            data = bytes.fromhex(record["data"]) if "data" in record else bytes(i * 7 & 0xff for i in range(65536))
            whole = struct.pack(">I", len(data)) + data + hearth._tag(mac, record["counter"], data)
            if "record" in record:
                self.assertEqual(whole.hex(), record["record"])
            else:
                self.assertEqual(hashlib.sha256(whole).hexdigest(), record["record_sha256"])


class NonceTest(unittest.TestCase):
    def test_fresh_each_time(self):
        hellos = set()
        for _ in range(3):
            ours, theirs = socket.socketpair()
            with ours, theirs:
                theirs.sendall(bytes(72))
                self.assertRaises(hearth.AuthenticationError, hearth.SignedSocket, ours, KEY)
                hellos.add(exactly(theirs, len(hello_of())))
        self.assertEqual(len(hellos), 3)


class GreetingTest(ChannelCase):
    def refused(self, said, key=KEY, end=True):
        """The client refuses the host, and has said nothing after its hello. Returns the message."""
        with self.assertRaises(hearth.AuthenticationError) as caught:
            self.client_after(said, end, key)
        sent = self.peer.recv(1000)
        self.assertEqual(sent, hello_of(key.id.encode()))
        return str(caught.exception)

    def test_every_byte_of_the_answer_flipped(self):
        for i, said in flips(self.host.greeting):
            with self.subTest(byte=i):
                self.refused(said)

    def test_every_byte_of_the_hello_flipped(self):
        """What the host answers to a hello altered on the way is no proof for the one that was sent."""
        for i, hello in flips(hello_of()):
            with self.subTest(byte=i):
                self.refused(Host(id=hello[9:-32].decode("latin-1")).reply(hello) or b"")

    def test_client_proof_altered_on_the_way(self):
        """The host hangs up without a word, which the client sees as a cut stream."""
        client = self.client(end=True)
        self.assertRaisesRegex(hearth.IntegrityError, "cut", client.recv, 1)
        self.assert_broken(client)

    def test_answer_truncated_at_every_length(self):
        for size in range(len(self.host.greeting)):
            with self.subTest(size=size):
                self.refused(self.host.greeting[:size])

    def test_answer_replayed(self):
        """What a host said to another hello proves nothing now."""
        self.refused(Host().reply(hello_of(nonce=bytes(32))))

    def test_answer_swapped(self):
        magic, nonce, proof = self.host.greeting[:8], self.host.greeting[8:40], self.host.greeting[40:]
        for said in (magic + proof + nonce, nonce + magic + proof, self.host.greeting[8:] + magic,
                     magic + nonce + self.host.client_proof):
            self.refused(said)

    def test_wrong_key(self):
        text = self.refused(Host(secret=bytes(32)).reply(hello_of()))
        for cause in ("wrong key", "unknown key id", "'alice'"):
            self.assertIn(cause, text)
        self.assertNotIn(SECRET.hex(), text)

    def test_unknown_id(self):
        text = self.refused(self.host.reply(hello_of(b"bob")), hearth.Key("bob", SECRET))
        self.assertIn("unknown key id", text)

    def test_other_servers(self):
        """The connection stays open: the client must not wait for 72 bytes that never come."""
        for said, hint in ((b"PYRO\x01\xf6\x02", '"plain"'), (b"\x15\x03\x03\x00\x02\x02\x28", '"tls"'),
                           (b"HTTP/1.1 400 Bad Request\r\n", "not that of a Hearth host"), (b"HRTHMAC2" + bytes(64), "not that of")):
            self.assertIn(hint, self.refused(said, end=False))
        self.assertIn("closed without an answer", self.refused(b""))

    def test_silent_server(self):
        ours, theirs = self.pair()
        ours.settimeout(0.01)
        self.assertRaises(socket.timeout, hearth.SignedSocket, ours, KEY)
        self.assertEqual(ours.fileno(), -1)

    def test_host_gone(self):
        ours, theirs = self.pair()
        theirs.close()
        self.assertRaises(hearth.AuthenticationError, hearth.SignedSocket, ours, KEY)

    def test_data_right_behind_the_greeting(self):
        self.assertEqual(self.client(self.host.seal(b"early")).recv(10), b"early")


class RecordAttackTest(ChannelCase):
    def broken_at(self, client, want=b""):
        """recv gives want and then fails for good."""
        got = b""
        while len(got) < len(want):
            got += client.recv(100)
        self.assertEqual(got, want)
        self.assertRaises(hearth.IntegrityError, client.recv, 100)
        self.assert_broken(client)

    def test_every_byte_flipped(self):
        first, last = self.host.seal(b"first"), self.host.seal(b"last")
        for i, record in flips(first):
            with self.subTest(byte=i):
                self.broken_at(self.client(record, last, end=True))

    def test_every_byte_of_a_later_record_flipped(self):
        first = self.host.seal(b"first")
        for i, record in flips(self.host.seal(b"second")):
            with self.subTest(byte=i):
                self.broken_at(self.client(first, record, end=True), b"first")

    def test_waitall_across_a_bad_record_gives_nothing(self):
        first, second = self.host.seal(b"first"), bytearray(self.host.seal(b"second"))
        second[-1] ^= 1
        client = self.client(first, bytes(second))
        self.assertRaises(hearth.IntegrityError, client.recv, 11, socket.MSG_WAITALL)
        self.assert_broken(client)

    def test_replayed(self):
        first, second = self.host.seal(b"first"), self.host.seal(b"second")
        self.broken_at(self.client(first, first), b"first")
        self.broken_at(self.client(first, second, first), b"firstsecond")

    def test_swapped(self):
        first, second = self.host.seal(b"first"), self.host.seal(b"again")
        self.broken_at(self.client(second, first))

    def test_dropped(self):
        records = [self.host.seal(b"%d" % i) for i in range(4)] + [self.host.seal(b"")]
        for i in range(4):
            self.broken_at(self.client(*records[:i], *records[i + 1:]), b"".join(b"%d" % n for n in range(i)))

    def test_truncated_at_every_length(self):
        first = self.host.seal(b"first")
        stream = first + self.host.seal(b"")
        for size in range(len(stream)):
            with self.subTest(size=size):
                self.broken_at(self.client(stream[:size], end=True), b"first" if size >= len(first) else b"")

    def test_reflected(self):
        """The client's own records, sent back to it."""
        self.broken_at(self.client(self.host.seal(b"mine", "client record")))

    def test_of_another_connection(self):
        other = Host(nonce=bytes(32))
        other.reply(hello_of())
        self.broken_at(self.client(other.seal(b"x")))

    def test_end_missing(self):
        client = self.client(self.host.seal(b"data"), end=True)
        self.assertEqual(client.recv(10), b"data")
        self.assertRaisesRegex(hearth.IntegrityError, "cut", client.recv, 10)
        self.assert_broken(client)

    def test_end_forged(self):
        for tag in (bytes(32), self.host.tag("client record", 0, b""), self.host.tag("server record", 1, b"")):
            self.broken_at(self.client(bytes(4) + tag, end=True))

    def test_data_after_the_end(self):
        end, more = self.host.seal(b""), self.host.seal(b"more")
        self.broken_at(self.client(end, more))
        self.broken_at(self.client(end, b"\x00"))
        client = self.client(end)
        self.assertEqual(client.recv(10), b"")
        self.peer.sendall(more)
        self.broken_at(client)

    def test_too_long(self):
        """Refused on its length alone, before anything more is waited for."""
        for length in (65537, 1 << 31, (1 << 32) - 1):
            client = self.client(struct.pack(">I", length))
            self.assertRaisesRegex(hearth.IntegrityError, "more than 65536", client.recv, 1)
            self.assert_broken(client)

    def test_records_of_the_client(self):
        """The client's own records are bound the same way (the host of this file finds every change)."""
        client = self.client()
        client.sendall(b"first")
        client.sendall(b"second")
        exactly(self.peer, len(hello_of()) + 32)
        first, second = exactly(self.peer, 41), exactly(self.peer, 42)

        def opens(stream):
            host, file = greeted_host(), io.BytesIO(stream)
            return [host.open(lambda size: exactly_file(file, size)) for _ in range(2)]

        def exactly_file(file, size):
            data = file.read(size)
            if len(data) < size:
                raise EOFError
            return data

        self.assertEqual(opens(first + second), [b"first", b"second"])
        for bad in [second + first, first + first] + [x for _, x in flips(first + second)]:
            self.assertRaises((ValueError, EOFError), opens, bad)


class SocketTest(ChannelCase):
    def test_records_and_their_end(self):
        client = self.client(self.host.seal(b"one"), self.host.seal(b"two"), self.host.seal(b""), end=True)
        self.assertEqual(client.recv(2), b"on")
        self.assertEqual(client.recv(100), b"e")
        self.assertEqual(client.recv(3, socket.MSG_PEEK), b"two")
        self.assertEqual(client.recv(0), b"")
        self.assertEqual(client.recv(9, socket.MSG_WAITALL), b"two")
        for _ in range(3):
            self.assertEqual(client.recv(5), b"")

    def test_waitall_across_records(self):
        client = self.client(*(self.host.seal(b"%d" % i) for i in range(10)))
        self.assertEqual(client.recv(9, socket.MSG_WAITALL), b"012345678")

    def test_recv_into(self):
        client = self.client(self.host.seal(b"abcdef"))
        buffer = bytearray(4)
        self.assertEqual(client.recv_into(buffer, 2), 2)
        self.assertEqual(client.recv_into(memoryview(buffer)[2:]), 2)
        self.assertEqual(buffer, b"abcd")
        self.assertRaises(ValueError, client.recv_into, buffer, 5)

    def test_unknown_flags(self):
        client = self.client()
        self.assertRaises(OSError, client.recv, 1, socket.MSG_OOB)
        self.assertRaises(OSError, client.send, b"x", socket.MSG_OOB)
        self.assertRaises(ValueError, client.recv, -1)

    def test_timeout_at_every_byte_of_a_record(self):
        stream = self.host.seal(b"abc") + self.host.seal(b"de")
        client = self.client()
        got = b""
        client.settimeout(0.0005)
        for i in range(len(stream)):
            self.assertRaises(socket.timeout, client.recv, 5, socket.MSG_WAITALL)
            self.peer.sendall(stream[i:i + 1])
        client.settimeout(PATIENCE)
        self.assertEqual(client.recv(5, socket.MSG_WAITALL), b"abcde")

    def test_timeout_then_single_recv(self):
        record = self.host.seal(b"late")
        client = self.client(record[:7])
        client.settimeout(0.001)
        self.assertRaises(socket.timeout, client.recv, 10)
        self.peer.sendall(record[7:])
        client.settimeout(None)
        self.assertEqual(client.recv(10), b"late")

    def test_nonblocking(self):
        record = self.host.seal(b"abc")
        client = self.client(record)
        client.setblocking(False)
        self.assertEqual((client.gettimeout(), client.getblocking()), (0.0, False))
        self.assertEqual(client.recv(10, socket.MSG_WAITALL), b"abc")       # as the kernel: what there is
        self.assertRaises(BlockingIOError, client.recv, 1)
        client.setblocking(True)
        self.assertRaises(BlockingIOError, client.recv, 1, socket.MSG_DONTWAIT)
        self.assertIsNone(client.gettimeout())

    def test_settimeout(self):
        client = self.client()
        for bad in (-1, float("nan"), float("inf"), "x"):
            self.assertRaises((ValueError, TypeError), client.settimeout, bad)
        client.settimeout(3)
        self.assertEqual((client.gettimeout(), client.timeout), (3.0, 3.0))

    def test_send(self):
        client = self.client()
        self.assertEqual(client.send(b""), 0)
        self.assertEqual(client.send(memoryview(b"abc")), 3)
        client.sendall(b"")
        client.sendall(bytearray(b"def"))
        client.close()
        self.assertEqual(list(self.read_records()), [b"abc", b"def", b""])

    def test_large(self):
        big = os.urandom(3 * 65536 + 1)
        client = self.client()
        got = []
        reader = threading.Thread(target=lambda: got.extend(self.read_records()))
        reader.start()
        self.assertEqual(client.send(big), 65536)
        client.sendall(big[65536:])
        client.shutdown(socket.SHUT_WR)
        reader.join(PATIENCE)
        self.assertEqual([len(x) for x in got], [65536, 65536, 65536, 1, 0])
        self.assertEqual(b"".join(got), big)

    def test_send_that_the_network_does_not_take(self):
        """A record that is cut by a timeout goes on with the next call, recv included: no byte is lost or doubled."""
        client = self.client()
        client.setblocking(False)
        sent = b""
        with contextlib.suppress(BlockingIOError):
            for i in itertools.count():
                chunk = bytes([i]) * 10000
                n = client.send(chunk)
                sent += chunk[:n]
        client.settimeout(0.001)
        self.assertRaises(socket.timeout, client.send, b"no")
        self.assertRaises(socket.timeout, client.sendall, b"no")
        client.settimeout(PATIENCE)
        records = self.read_records()
        got = b"".join(next(records) for _ in range(len(sent) // 10000 - 1))    # now there is room
        self.peer.sendall(self.host.seal(b"answer"))
        self.assertEqual(client.recv(10), b"answer")
        got += next(records)
        self.assertEqual(got, sent)
        client.close()
        self.assertEqual(next(records), b"")

    def test_shutdown(self):
        client = self.client(self.host.seal(b"more"), self.host.seal(b""))
        client.shutdown(socket.SHUT_WR)
        self.assertRaises(BrokenPipeError, client.send, b"x")
        self.assertEqual(client.recv(10), b"more")
        self.assertEqual(client.recv(10), b"")
        self.assertEqual(list(self.read_records()), [b""])
        client.shutdown(socket.SHUT_RDWR)
        client.close()

    def test_shutdown_read(self):
        client = self.client(self.host.seal(b"x"))
        client.shutdown(socket.SHUT_RD)
        self.assertEqual(client.recv(10), b"")

    def test_close(self):
        client = self.client()
        with client:
            self.assertGreaterEqual(client.fileno(), 0)
        client.close()
        self.assertEqual(client.fileno(), -1)
        for what in (lambda: client.recv(1), lambda: client.send(b"x"), lambda: client.shutdown(socket.SHUT_RDWR)):
            with self.assertRaises(OSError) as caught:
                what()
            self.assertNotIsInstance(caught.exception, hearth.IntegrityError)
        self.assertEqual(list(self.read_records()), [b""])
        self.assertEqual(self.peer.recv(1), b"")

    def test_what_it_says_about_itself(self):
        client = self.client()
        self.assertEqual((client.family, client.type), (socket.AF_UNIX, socket.SOCK_STREAM))
        self.assertEqual((client.getpeername(), client.getsockname()), ("", ""))
        self.assertFalse(hasattr(client, "getpeercert"))    # or Pyro would not use MSG_WAITALL
        for text in (repr(client), repr(KEY), str(KEY)):
            self.assertIn("alice", text)
            self.assertNotIn(repr(SECRET)[2:20], text)
        client.close()
        self.assertIn("closed", repr(client))

    def test_errors_are_connection_errors(self):
        for error in (hearth.AuthenticationError, hearth.IntegrityError):
            self.assertTrue(issubclass(error, ConnectionError) and issubclass(error, OSError))
        self.assertIsNone(hearth.IntegrityError("x").errno)     # Pyro would retry after EAGAIN


# --- files --------------------------------------------------------------------------------

class FolderCase(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="hearth")
        self.addCleanup(shutil.rmtree, self.folder)

    def write(self, name, text, mode=0o600):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
        os.chmod(path, mode)
        return path


class KeyFileTest(FolderCase):
    def test_good(self):
        newer = KEY_LINE.replace("alice", "alice-2")
        path = self.write("k", "# keys of alice\n\n%s\n%s" % (newer, KEY_LINE))
        keys = hearth.load_keys(path)
        self.assertEqual([k.id for k in keys], ["alice-2", "alice"])
        self.assertEqual(keys[0]._secret, SECRET)
        self.assertEqual(hearth.load_keys(self.write("none", "# nothing\n")), [])
        hearth.load_keys(self.write("fraction", KEY_LINE.replace("00Z", "00.123456789Z")))

    def test_bad(self):
        secret = KEY_LINE.split(" ")[2]
        for why, text in {
            "twice": KEY_LINE + "\n" + KEY_LINE,
            "crlf": KEY_LINE + "\r\n",
            "two spaces": KEY_LINE.replace(" alice", "  alice"),
            "trailing space": KEY_LINE + " ",
            "leading space": " " + KEY_LINE,
            "tab": KEY_LINE.replace(" alice", "\talice"),
            "blank line": " \n" + KEY_LINE,
            "version": KEY_LINE.replace("key-1", "key-2"),
            "no time": KEY_LINE.rsplit(" ", 1)[0],
            "more": KEY_LINE + " more",
            "id": KEY_LINE.replace("alice", "al/ice"),
            "id umlaut": KEY_LINE.replace("alice", "\u00e4lice"),
            "long id": KEY_LINE.replace("alice", "a" * 65),
            "padded": KEY_LINE.replace(secret, secret + "="),
            "short": KEY_LINE.replace(secret, secret[:-1]),
            "31 bytes": KEY_LINE.replace(secret, secret[:-2]),
            "33 bytes": KEY_LINE.replace(secret, secret + "A"),
            "standard alphabet": KEY_LINE.replace(secret, "+/" + secret[2:]),
            "not canonical": KEY_LINE.replace(secret, secret[:-1] + "9"),
            "offset": KEY_LINE.replace("00Z", "00+00:00"),
            "lower case": KEY_LINE.replace("00Z", "00z"),
            "no such day": KEY_LINE.replace("01-31", "02-30"),
            "bom": "\ufeff" + KEY_LINE,
            "not utf-8": KEY_LINE.encode() + b"\n# \xff",
            "huge": b"#" * (1 << 20) + b"\n",
        }.items():
            with self.subTest(why):
                with self.assertRaises(hearth.KeyFileError) as caught:
                    hearth.load_keys(self.write("k", text))
                self.assertNotIn(secret[:20], str(caught.exception))

    def test_modes(self):
        for mode in range(0o1000):
            if not mode & 0o400:
                continue        # cannot be read at all, except by root
            path = self.write("a key", KEY_LINE)
            os.chmod(path, mode)
            if mode in (0o600, 0o400):
                self.assertEqual(len(hearth.load_keys(path)), 1)
            else:
                self.assertRaisesRegex(hearth.KeyFileError, "chmod 600 '.*a key'", hearth.load_keys, path)

    def test_owner(self):
        path = self.write("k", KEY_LINE)
        with mock.patch("os.geteuid", return_value=os.geteuid() + 12345):
            self.assertRaisesRegex(hearth.KeyFileError, "chown %d " % (os.geteuid()), hearth.load_keys, path)

    def test_kinds(self):
        path = self.write("k", KEY_LINE)
        link, fifo = os.path.join(self.folder, "link"), os.path.join(self.folder, "fifo")
        os.symlink(path, link)
        self.assertEqual(len(hearth.load_keys(link)), 1)
        os.chmod(path, 0o644)
        self.assertRaisesRegex(hearth.KeyFileError, "chmod 600", hearth.load_keys, link)
        os.mkfifo(fifo, 0o600)
        for bad in (fifo, self.folder):
            self.assertRaisesRegex(hearth.KeyFileError, "regular", hearth.load_keys, bad)
        self.assertRaisesRegex(hearth.KeyFileError, "cannot be opened", hearth.load_keys, path + "x")

    def test_key_is_not_pickled(self):
        self.assertRaises(TypeError, pickle.dumps, KEY)


class ProfileTest(FolderCase):
    def test_files_of_others(self):
        """A world-writable profile and a private key that others may read are rejected with the chmod command."""
        path = self.write("p.json", json.dumps({"address": "h:1", "channel": "plain"}))
        os.chmod(path, 0o666)
        self.assertRaisesRegex(hearth.ProfileError, "chmod o-w .*p.json", hearth.load_profile, path)
        os.chmod(path, 0o644)
        hearth.load_profile(path)

    def test_good(self):
        path = self.write("p.json", '{"address": "unix:run/s", "channel": "hmac", "key": "alice.key"}', 0o644)
        profile = hearth.load_profile(path)
        self.assertEqual((profile.unix_path, profile.key), (self.folder + "/run/s", self.folder + "/alice.key"))
        for address, want in {"127.0.0.1:7766": ("127.0.0.1", 7766), "[::1]:1": ("::1", 1), "host.example:65535": ("host.example", 65535)}.items():
            profile = hearth.load_profile({"address": address, "channel": "tls", "ca": "/ca.pem"})
            self.assertEqual((profile.host, profile.port, profile.server_name, profile.ca), (*want, want[0], "/ca.pem"))
        hearth.load_profile({"address": "h:1", "channel": "tls", "ca": "c", "key": "k", "cert": "c", "cert_key": "k", "server_name": "n"})

    def test_bad(self):
        plain = {"address": "h:1", "channel": "plain"}
        for fields in (
            {}, {"address": "h:1"}, {"channel": "plain"}, {**plain, "chanel": "x"}, {**plain, "channel": "HMAC"},
            {**plain, "channel": ""}, {**plain, "key": "k"}, {**plain, "ca": "c"}, {**plain, "address": 7766},
            {**plain, "channel": "hmac"}, {**plain, "channel": "hmac", "key": "k", "ca": "c"}, {**plain, "channel": "hmac", "key": ""},
            {**plain, "channel": "hmac", "key": None},
            {**plain, "channel": "tls"}, {**plain, "channel": "tls", "ca": "c", "cert": "c"}, {**plain, "channel": "tls", "ca": "c", "cert_key": "c"},
            {"address": "unix:s", "channel": "tls", "ca": "c"},
            *({**plain, "address": a} for a in ("h", "h:", ":1", "h:0", "h:65536", "h:1x", "::1:7", "[::1]", "[h]:1", "h:1:2",
                                                "unix:", "unix:a\0b", "http://h:1", "h :1", "h:1\n", "h:+1")),
        ):
            with self.subTest(fields):
                self.assertRaises(hearth.ProfileError, hearth.load_profile, fields)

    def test_bad_files(self):
        for text in ("", "[]", "{", '{"address": "h:1", "address": "h:2", "channel": "plain"}', b"\xff", '{"address": "h:1", "channel": "plain"} x'):
            path = self.write("p.json", text)
            with self.assertRaises(hearth.ProfileError) as caught:
                hearth.load_profile(path)
            self.assertIn(path, str(caught.exception))
        self.assertRaisesRegex(hearth.ProfileError, "cannot be read", hearth.load_profile, self.folder + "/none")

    def test_no_key_in_the_file(self):
        self.write("k", "# revoked\n")
        profile = {"address": "h:1", "channel": "hmac", "key": self.folder + "/k"}
        self.assertRaisesRegex(hearth.KeyFileError, "no key", hearth.connect, profile)


# --- over the network ---------------------------------------------------------------------

class Relay:
    """A host's front: ends the signed channel (and TLS) and passes plain bytes on to a Pyro daemon.

    Without a target it sends back what it gets. connections counts those that were made;
    spoil, set to a number, flips a bit in the record that comes after so many more.
    """

    def __init__(self, target=None, signed=True, tls=None, unix=None):
        self.target, self.signed, self.tls, self.spoil = target, signed, tls, None
        self.listener = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        self.listener.bind(unix or ("127.0.0.1", 0))
        self.listener.listen()
        self.address = "unix:" + unix if unix else "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.connections, self.open, self.threads = 0, [], []
        self.start(self.accept)

    def start(self, target, *args):
        thread = threading.Thread(target=self.guard, args=(target, *args), daemon=True)
        self.threads.append(thread)
        thread.start()

    @staticmethod
    def guard(target, *args):
        with contextlib.suppress(OSError, EOFError, ValueError):     # ValueError: a bad record
            target(*args)

    def accept(self):
        while True:
            sock, _ = self.listener.accept()
            if not self.tls:
                self.open.append(sock)
            self.connections += 1
            self.start(self.serve, sock)

    def serve(self, sock):
        if self.tls:
            sock = self.tls.wrap_socket(sock, server_side=True)
            self.open.append(sock)
        with sock:
            host = Host(nonce=os.urandom(32))
            if self.signed:
                head = exactly(sock, 9)
                sock.sendall(host.reply(head + exactly(sock, head[8] + 32)))
                if exactly(sock, 32) != host.client_proof:
                    return
            self.pass_on(sock, host)

    def pass_on(self, sock, host):
        if not self.target:
            return self.shuttle(sock, None, host)
        with socket.create_connection(self.target) as target:
            self.shuttle(sock, target, host)

    def shuttle(self, sock, target, host):
        """One thread for both ways: a TLS socket is not for two."""
        ready = [sock] + ([target] if target else [])
        while True:
            readable = [sock] if self.tls and sock.pending() else select.select(ready, [], [])[0]
            if sock in readable:
                data = host.open(lambda size: exactly(sock, size)) if self.signed else sock.recv(65536)
                if not data:
                    if not target:
                        self.say(sock, host, b"")
                    break
                if target:
                    target.sendall(data)
                else:
                    self.say(sock, host, data)
            if target in readable:
                data = target.recv(65536)
                self.say(sock, host, data)
                if not data:
                    break

    def say(self, sock, host, data):
        record = host.seal(data) if self.signed else data
        if self.spoil is not None:
            self.spoil -= 1
            if self.spoil < 0:
                self.spoil, record = None, bytes([*record[:-33], record[-33] ^ 1, *record[-32:]])
        sock.sendall(record)

    def hang_up(self):
        """Cuts all connections, without an end record."""
        cut, self.open = self.open, []
        for sock in cut:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.hang_up()
        for thread in self.threads:
            thread.join(PATIENCE)


class NetworkCase(FolderCase):
    def setUp(self):
        super().setUp()
        self.write("alice.key", KEY_LINE)

    def relay(self, *args, **kwargs):
        relay = Relay(*args, **kwargs)
        self.addCleanup(relay.close)
        return relay

    def profile(self, relay, channel="hmac", **fields):
        fields = {"address": relay.address, "channel": channel, **fields}
        if channel == "hmac":
            fields["key"] = "alice.key"
        return self.write("profile.json", json.dumps(fields))


class ConnectTest(NetworkCase):
    def echoes(self, profile):
        with hearth.connect(profile, timeout=PATIENCE) as sock:
            self.assertEqual(sock.gettimeout(), PATIENCE)
            for data in (b"hello", os.urandom(5000)):
                sock.sendall(data)
                got = b""
                while len(got) < len(data):
                    got += sock.recv(len(data) - len(got))
                self.assertEqual(got, data)
            return type(sock)

    def test_plain(self):
        self.assertIs(self.echoes(self.profile(self.relay(signed=False), "plain")), socket.socket)

    def test_hmac(self):
        self.assertIs(self.echoes(self.profile(self.relay())), hearth.SignedSocket)

    def test_unix(self):
        relay = self.relay(unix=self.folder + "/s")
        self.echoes(self.profile(relay))
        self.echoes({"address": "unix:" + self.folder + "/s", "channel": "hmac", "key": self.folder + "/alice.key"})

    def test_cut_sends_go_on(self):
        """Sends that the network cuts short lose nothing, whatever lies below, while answers pile up."""
        with hearth.connect(self.profile(self.relay())) as sock:
            sock.setblocking(False)
            sent, got = bytearray(), bytearray()
            while len(sent) < 8_000_000:
                chunk = bytes([len(sent) // 30000 & 0xff]) * 30000
                try:
                    sent += chunk[:sock.send(chunk)]
                except BlockingIOError:
                    break
            sock.settimeout(PATIENCE)
            while len(got) < len(sent):
                got += sock.recv(100000)
            self.assertEqual(got, sent)

    def test_half_close(self):
        """After our end the host's answers and its end still come, over TLS too."""
        with hearth.connect(self.profile(self.relay()), PATIENCE) as sock:
            sock.sendall(b"last words")
            sock.shutdown(socket.SHUT_WR)
            self.assertEqual(sock.recv(10, socket.MSG_WAITALL), b"last words")
            self.assertEqual(sock.recv(10), b"")

    def test_no_timeout_afterwards(self):
        with hearth.connect(self.profile(self.relay())) as sock:
            self.assertIsNone(sock.gettimeout())

    def test_rotated_key(self):
        """The key file is read at each connection, its first key is taken."""
        profile = hearth.load_profile(self.profile(self.relay()))
        self.echoes(profile)
        self.write("alice.key", KEY_LINE.replace("alice", "alice-2") + "\n" + KEY_LINE)
        self.assertRaises(hearth.AuthenticationError, hearth.connect, profile, PATIENCE)

    def test_nobody_there(self):
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))     # bound and not listening
            profile = {"address": "127.0.0.1:%d" % sock.getsockname()[1], "channel": "plain"}
            self.assertRaises(ConnectionRefusedError, hearth.connect, profile)
        self.assertRaises(FileNotFoundError, hearth.connect, {"address": "unix:" + self.folder + "/none", "channel": "plain"})


class TLSTest(ConnectTest):
    """The same over TLS, and what TLS must refuse."""

    @classmethod
    def setUpClass(cls):
        if not shutil.which("openssl"):
            skip("TLS tests: openssl, which makes their certificates, is not installed")
        cls.pki = tempfile.mkdtemp(prefix="hearth")
        cls.addClassCleanup(shutil.rmtree, cls.pki)
        for ca in ("ca", "other-ca"):
            cls.issue(ca, "/CN=" + ca, "basicConstraints=critical,CA:TRUE")
        cls.issue("host", "/CN=host", "subjectAltName=DNS:host.example,IP:127.0.0.1", "ca")
        cls.issue("alice", "/CN=alice", "extendedKeyUsage=clientAuth", "ca")
        cls.issue("mallory", "/CN=alice", "extendedKeyUsage=clientAuth", "other-ca")

    @classmethod
    def issue(cls, name, subject, extension, issuer=None):
        command = ["openssl", "req", "-new", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                   "-subj", subject, "-addext", extension, "-keyout", name + "-key.pem", "-out", name + ".pem"]
        if issuer:
            command += ["-CA", issuer + ".pem", "-CAkey", issuer + "-key.pem", "-addext", "basicConstraints=critical,CA:FALSE"]
        subprocess.run(command, cwd=cls.pki, check=True, timeout=30, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def file(self, name):
        return os.path.join(self.pki, name)

    def server_context(self, mutual=False):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file("host.pem"), self.file("host-key.pem"))
        if mutual:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.file("ca.pem"))
        return context

    def relay(self, *args, mutual=False, **kwargs):
        return super().relay(*args, tls=self.server_context(mutual), **kwargs)

    def profile(self, relay, channel="hmac", **fields):
        if channel == "hmac":
            fields["key"] = "alice.key"
        if relay.address.startswith("unix:"):
            fields["server_name"] = "host.example"
        return super().profile(relay, "tls", **{"ca": self.file("ca.pem"), **fields})

    def test_plain(self):
        self.assertIs(self.echoes(self.profile(self.relay(signed=False), "plain")), ssl.SSLSocket)

    def test_unix(self):
        self.echoes(self.profile(self.relay(unix=self.folder + "/s")))

    def test_mutual(self):
        relay = self.relay(signed=False, mutual=True)
        self.echoes(self.profile(relay, "plain", cert=self.file("alice.pem"), cert_key=self.file("alice-key.pem")))
        for fields in ({}, {"cert": self.file("mallory.pem"), "cert_key": self.file("mallory-key.pem")}):
            with self.assertRaises(OSError):
                self.echoes(self.profile(relay, "plain", **fields))

    def test_files_of_others(self):
        """A private key that others may read and world-writable certificates are rejected."""
        relay = self.relay(signed=False, mutual=True)
        profile = self.profile(relay, "plain", cert=self.file("alice.pem"), cert_key=self.file("alice-key.pem"))
        for name, mode, error in (("alice-key.pem", 0o644, hearth.KeyFileError), ("alice.pem", 0o666, hearth.ProfileError),
                                  ("ca.pem", 0o666, hearth.ProfileError)):
            os.chmod(self.file(name), mode)
            self.assertRaisesRegex(error, "chmod", hearth.connect, profile, PATIENCE)
            os.chmod(self.file(name), 0o600)
        self.echoes(profile)

    def test_mutual_signed(self):
        relay = self.relay(mutual=True)
        self.echoes(self.profile(relay, cert=self.file("alice.pem"), cert_key=self.file("alice-key.pem")))
        with self.assertRaises(OSError):
            self.echoes(self.profile(relay))

    def test_the_host_is_verified(self):
        relay = self.relay()
        for fields in ({"ca": self.file("other-ca.pem")}, {"server_name": "other.example"}):
            self.assertRaises(ssl.SSLCertVerificationError, hearth.connect, self.profile(relay, **fields), PATIENCE)
        self.echoes(self.profile(relay, server_name="host.example"))

    def test_old_versions(self):
        context = hearth._tls_context(hearth.load_profile(self.profile(self.relay())))
        self.assertEqual(context.minimum_version, ssl.TLSVersion.TLSv1_2)
        self.assertTrue(context.check_hostname)
        self.assertEqual(context.verify_mode, ssl.CERT_REQUIRED)

    def test_cut(self):
        """A cut below TLS is no orderly end, with a key and without."""
        for signed in (True, False):
            relay = self.relay(signed=signed)
            with hearth.connect(self.profile(relay, "hmac" if signed else "plain"), PATIENCE) as sock:
                sock.sendall(b"x")
                self.assertEqual(sock.recv(1), b"x")
                relay.hang_up()
                with self.assertRaises(OSError):
                    sock.recv(1)

    def test_bad_files(self):
        relay = self.relay()
        key = self.write("locked.pem", "")
        subprocess.run(["openssl", "pkcs8", "-topk8", "-in", self.file("alice-key.pem"), "-out", key, "-passout", "pass:secret"],
                       check=True, timeout=30, stderr=subprocess.DEVNULL)
        for fields in ({"ca": self.file("none.pem")}, {"ca": self.file("host-key.pem")},
                       {"cert": self.file("alice.pem"), "cert_key": self.file("mallory-key.pem")},
                       {"cert": self.file("alice.pem"), "cert_key": key}):
            with self.subTest(fields):
                self.assertRaises(hearth.ProfileError, hearth.connect, self.profile(relay, **fields))


# --- the real Pyros -----------------------------------------------------------------------

class PyroCase:
    """The tests that both generations share: a real daemon behind a Relay, called by a real proxy."""

    @classmethod
    def start_daemon(cls):
        cls.daemon = cls.pyro.Daemon(host="127.0.0.1")
        thread = threading.Thread(target=cls.daemon.requestLoop, daemon=True)
        thread.start()
        cls.addClassCleanup(thread.join, PATIENCE)
        cls.addClassCleanup(cls.daemon.close)
        cls.addClassCleanup(cls.daemon.shutdown)

    def setUp(self):
        super().setUp()
        self.service = self.make_service()
        self.daemon.register(self.service, "demo.service")
        self.addCleanup(self.daemon.unregister, "demo.service")
        self.addCleanup(self.service.gate.set)
        host, port = self.daemon.locationStr.rsplit(":", 1)
        self.front = self.relay((host, int(port)))
        self.proxy = self.make(timeout=PATIENCE)
        self.addCleanup(self.proxy._pyroRelease)

    def make(self, object_id="demo.service", **settings):
        return self.factory(object_id, self.profile(self.front), **settings)

    def make_service(self):
        pyro = self.pyro

        class Service:
            def __init__(self):
                self.gate, self.noticed, self._total = threading.Event(), threading.Event(), 0

            @pyro.expose
            def add(self, a, b=1):
                return a + b

            @pyro.expose
            def echo(self, value):
                return value

            @pyro.expose
            def fail(self):
                raise ValueError("as asked")

            @pyro.expose
            def count(self, n):
                return iter(range(n))

            @pyro.expose
            def wait(self):
                self.gate.wait(PATIENCE)
                return "at last"

            @pyro.expose
            @pyro.oneway
            def notice(self):
                self.noticed.set()

            @pyro.expose
            @property
            def total(self):
                return self._total

            @total.setter
            def total(self, value):
                self._total = value

        return Service()

    def test_class(self):
        self.assertIsInstance(self.proxy, self.base)
        self.assertIn("PYRO:demo.service@127.0.0.1:", str(self.proxy._pyroUri))
        self.assertEqual(self.front.connections, 0)     # it connects at the first call

    def test_calls(self):
        self.assertEqual(self.proxy.add(2, b=3), 5)
        self.proxy.total = 7
        self.assertEqual(self.proxy.total, 7)
        big = "\u00e4" * 200000
        self.assertEqual(self.proxy.echo(big), big)
        self.assertEqual(self.front.connections, 1)
        self.assertRaises(AttributeError, lambda: self.proxy.nothing)

    def test_serializers(self):
        for name in ("json", "marshal", "serpent"):
            proxy = self.make(serializer=name, timeout=PATIENCE)
            with proxy:
                self.assertEqual(proxy.echo({"a": [1, None, "x"]}), {"a": [1, None, "x"]})

    def test_exception(self):
        self.assertRaisesRegex(ValueError, "as asked", self.proxy.fail)
        self.assertEqual(self.proxy.add(1), 2)

    def test_batch(self):
        batch = self.batch(self.proxy)
        batch.add(1)
        batch.add(2, 3)
        self.assertEqual(list(batch()), [2, 5])

    def test_stream(self):
        self.assertEqual(list(self.proxy.count(5)), list(range(5)))
        stream = self.proxy.count(10)
        self.assertEqual(next(stream), 0)
        self.assertEqual(self.proxy.add(1), 2)
        stream.close()      # after another call Pyro does this through a copy of the proxy
        self.assertEqual(self.front.connections, 2)

    def test_oneway(self):
        self.proxy.notice()
        self.assertTrue(self.service.noticed.wait(PATIENCE))

    def test_timeout(self):
        """The late answer of the abandoned call must not become the next one's."""
        self.assertEqual(self.proxy.add(1), 2)
        self.proxy._pyroTimeout = 0.05
        self.assertRaises(self.errors.TimeoutError, self.proxy.wait)
        self.service.gate.set()
        self.proxy._pyroTimeout = PATIENCE
        self.assertEqual(self.proxy.add(2), 3)
        self.assertEqual(self.front.connections, 2)

    def test_reconnect(self):
        self.assertEqual(self.proxy.add(1), 2)
        self.front.hang_up()
        self.assertRaises(self.errors.ConnectionClosedError, self.proxy.add, 1)
        self.assertEqual(self.proxy.add(2), 3)
        self.proxy._pyroReconnect(1)
        self.assertEqual(self.proxy.add(3), 4)
        with self.make(timeout=PATIENCE, max_retries=1) as proxy:
            self.assertEqual(proxy.add(1), 2)
            self.front.hang_up()
            self.assertEqual(proxy.add(1), 2)

    def test_tampering(self):
        self.assertEqual(self.proxy.add(1), 2)
        self.front.spoil = 0
        self.assertRaisesRegex(self.errors.CommunicationError, "altered", self.proxy.add, 1)
        self.assertEqual(self.proxy.add(2), 3)
        self.assertEqual(self.front.connections, 2)

    def test_wrong_key(self):
        self.write("alice.key", KEY_LINE.replace("AAECAw", "BBECAw"))
        with self.assertRaisesRegex(self.errors.CommunicationError, "wrong key") as caught:
            self.proxy.add(1)
        self.assertIsInstance(caught.exception.__cause__, hearth.AuthenticationError)
        self.assertNotIn("BBECAw", str(caught.exception))
        self.assertRaises(self.errors.ConnectionClosedError, self.proxy._pyroReconnect, 1)

    def test_unknown_object(self):
        with self.make("demo.nothing", timeout=PATIENCE) as proxy:
            self.assertRaises(self.errors.CommunicationError, proxy._pyroBind)
            self.assertIsNone(proxy._pyroConnection)

    def test_handshake_is_validated(self):
        class Picky(Exception):
            pass

        def refuse(response):
            raise Picky(response)

        object.__setattr__(self.proxy, "_pyroValidateHandshake", refuse)
        self.assertRaises((Picky, self.errors.CommunicationError), self.proxy._pyroBind)
        self.assertIsNone(self.proxy._pyroConnection)

    def test_copies(self):
        import copy
        for twin in (copy.copy(self.proxy), copy.deepcopy(self.proxy), pickle.loads(pickle.dumps(self.proxy))):
            with twin:
                self.assertIs(type(twin), type(self.proxy))
                self.assertEqual(twin.add(1), 2)
        self.assertEqual(pickle.loads(pickle.dumps(self.proxy))._pyroTimeout, PATIENCE)
        self.assertNotIn(SECRET[:8], pickle.dumps(self.proxy))

    def test_as_an_argument(self):
        """A proxy that is sent is a reference, as those of Pyro are."""
        back = self.proxy.echo(self.proxy)
        self.assertEqual(back._pyroUri, self.proxy._pyroUri)

    def test_mistakes(self):
        self.assertRaisesRegex(TypeError, "serializer", self.make, colour="red")
        self.assertRaisesRegex(TypeError, "proxy4 or proxy5", type(self.proxy), "demo.service", connected_socket=self.front.listener)
        self.assertRaisesRegex(TypeError, "proxy4 or proxy5", type(self.proxy)("PYRO:x@h:1")._pyroBind)
        os.chmod(os.path.join(self.folder, "alice.key"), 0o644)
        self.assertRaises(hearth.KeyFileError, self.make)
        self.assertRaisesRegex(self.errors.CommunicationError, "chmod 600", self.proxy._pyroBind)

    def test_plain(self):
        self.front = self.relay(self.front.target, signed=False)
        with self.factory("demo.service", self.profile(self.front, "plain"), timeout=PATIENCE) as proxy:
            self.assertEqual(proxy.add(1), 2)

    def test_unix(self):
        self.front = self.relay(self.front.target, unix=self.folder + "/s")
        with self.make(timeout=PATIENCE) as proxy:
            self.assertEqual(proxy.add(1), 2)
            self.assertIn("./u:", str(proxy._pyroUri))

    def command(self, *arguments):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = hearth.main(["call", "--pyro", self.generation, self.profile(self.front), "demo.service", *arguments])
        return code, out.getvalue(), err.getvalue()

    def test_command(self):
        self.assertEqual(self.command("add", "2", "-5"), (0, "-3\n", ""))
        self.assertEqual(self.command("echo", '{"a": "\u00e4"}'), (0, '{"a": "\u00e4"}\n', ""))
        self.assertEqual(self.command("total"), (0, "0\n", ""))
        self.assertEqual(self.command("count", "3"), (0, "0\n1\n2\n", ""))
        code, out, err = self.command("fail")
        self.assertEqual((code, out, err), (1, "", "hearth.py: ValueError: as asked\n"))
        with self.assertRaises(SystemExit) as caught:
            self.command("echo", "x")
        self.assertEqual(caught.exception.code, 2)


class Pyro4Test(PyroCase, NetworkCase):
    generation = "4"
    factory = staticmethod(hearth.proxy4)

    @classmethod
    def setUpClass(cls):
        try:
            import Pyro4
            import Pyro4.errors
        except ImportError:
            skip("tests against the real Pyro4, which is not installed")
        cls.pyro, cls.errors, cls.base, cls.batch = Pyro4, Pyro4.errors, Pyro4.Proxy, staticmethod(Pyro4.batch)
        Pyro4.config.SERIALIZERS_ACCEPTED = {"serpent", "json", "marshal"}
        cls.start_daemon()

    def test_asynchronous(self):
        self.pyro.asyncproxy(self.proxy)
        self.assertEqual(self.proxy.add(1).value, 2)

    def test_without_metadata(self):
        with mock.patch.object(self.pyro.config, "METADATA", False):
            self.assertEqual(self.proxy.add(1), 2)


class Pyro5Test(PyroCase, NetworkCase):
    generation = "5"
    factory = staticmethod(hearth.proxy5)

    @classmethod
    def setUpClass(cls):
        try:
            import Pyro5.api
            import Pyro5.errors
        except ImportError:
            skip("tests against the real Pyro5, which is not installed")
        cls.pyro, cls.errors, cls.base, cls.batch = Pyro5.api, Pyro5.errors, Pyro5.api.Proxy, staticmethod(Pyro5.api.BatchProxy)
        cls.start_daemon()

    def test_owner(self):
        caught = []

        def call():
            try:
                self.proxy.add(1)
            except self.errors.PyroError as x:
                caught.append(str(x))

        thread = threading.Thread(target=call)
        thread.start()
        thread.join(PATIENCE)
        self.assertIn("not the owner", caught[0])


class CommandTest(FolderCase):
    def test_foreign_text(self):
        """What an object returns or raises cannot drive the terminal, and stays the same JSON."""
        for text in ("\x1b[2J", "\u009b2J", "\x7f", "a\r\nb", "\u202e", "\U000e0041", "\ud800", "back\\slash \" é €"):
            line = hearth._json_line({"text": [text]})
            self.assertTrue(line.isprintable(), ascii(line))
            self.assertEqual(json.loads(line), {"text": [text]})
            self.assertTrue(hearth._visible(text).isprintable(), ascii(text))
        error = io.StringIO()
        with contextlib.redirect_stderr(error):
            self.assertEqual(hearth.main(["call", self.folder + "/\x1b[2J\n.json", "demo.x", "y"]), 1)
        self.assertTrue(error.getvalue()[:-1].isprintable(), ascii(error.getvalue()))

    def test_errors(self):
        err = io.StringIO()
        with contextlib.redirect_stderr(err):
            code = hearth.main(["call", self.folder + "/none.json", "demo.x", "y"])
        self.assertEqual(code, 1)
        self.assertIn("ProfileError", err.getvalue())


# --- HTTP ---------------------------------------------------------------------------------

class HTTPTest(unittest.TestCase):
    """The plain HTTP client, with a server that answers from a table."""

    PROBLEM = "application/problem+json"

    def setUp(self):
        self.requests, answers = [], {
            ("POST", "/v1/objects/acme.x/add"): (200, "application/json", b"12345678901234567890123"),
            ("POST", "/v1/objects/acme.x/none"): (204, "", b""),
            ("POST", "/v1/objects/acme.x/later"): (202, "", b""),
            ("GET", "/v1/objects/acme.x/total"): (200, "application/json", b'{"data": "AP8=", "encoding": "base64"}'),
            ("PUT", "/v1/objects/acme.x/total"): (204, "", b""),
            ("GET", "/v1/objects"): (200, "application/json", b'{"objects": ["acme.x"]}'),
            ("POST", "/v1/objects/acme.x/fail"): (500, self.PROBLEM, json.dumps({
                "type": "urn:hearth:problem:raised", "detail": "gone", "executed": "yes", "class": "KeyError"}).encode()),
            ("POST", "/v1/objects/acme.x/busy"): (429, self.PROBLEM, json.dumps({
                "type": "urn:hearth:problem:exhausted", "detail": "limit", "executed": "no", "status": 429}).encode()),
            ("POST", "/v1/objects/acme.x/html"): (404, "text/html", b"<h1>"),
            ("POST", "/v1/objects/acme.x/bad"): (500, self.PROBLEM, b"[]"),
            ("POST", "/v1/objects/acme.x/items"): (200, "text/event-stream", b":\n\ndata: 1\n\ndata: [2]\n\nevent: end\ndata:\n\n"),
            ("POST", "/v1/objects/acme.x/cut"): (200, "text/event-stream", b"data: 1\n\ndata: 2"),
            ("POST", "/v1/objects/acme.x/broken"): (200, "text/event-stream", b'data: 1\n\nevent: error\ndata: {"type": '
                                                    b'"urn:hearth:problem:raised", "class": "ValueError", "detail": "no"}\n\n'),
        }
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.requests.append((self.command, self.path, dict(self.headers), body))
                if self.path.endswith("/silent"):
                    self.close_connection = True
                    return
                status, kind, data = answers[self.command, self.path]
                self.send_response(status)
                if kind:
                    self.send_header("Content-Type", kind)
                if status not in (204,):
                    self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = answer

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.client = hearth.HTTPClient("http://127.0.0.1:%d" % self.server.server_port, bearer="hk_1", timeout=PATIENCE)
        self.addCleanup(self.client.close)
        self.x = self.client.object("acme.x")

    def test_calls(self):
        self.assertEqual(self.x.add(5), 12345678901234567890123)
        self.assertEqual(self.x.call("add", k=b"\0"), 12345678901234567890123)
        self.assertIsNone(self.x.none())
        self.assertEqual(self.x.get("total"), b"\0\xff")
        self.x.set("total", [1.5, None, "\u00e4"])
        self.x.oneway("later", 1)
        self.x.call_once("order-1", "add", 1)
        self.assertEqual(self.client.objects(), ["acme.x"])
        bodies = [(r[0], r[3]) for r in self.requests]
        self.assertEqual(bodies[:2], [("POST", b"[5]"), ("POST", b'{"k": {"data": "AA==", "encoding": "base64"}}')])
        self.assertEqual(bodies[4], ("PUT", '[1.5, null, "\u00e4"]'.encode()))
        headers = [r[2] for r in self.requests]
        self.assertTrue(all(h["Authorization"] == "Bearer hk_1" for h in headers))
        self.assertEqual(headers[5]["Prefer"], "respond-async")
        self.assertEqual(headers[6]["Idempotency-Key"], '"order-1"')
        self.assertEqual(headers[2]["Content-Length"], "0")

    def test_streams(self):
        self.assertEqual(list(self.x.stream("items", 1)), [1, [2]])
        for method, error in ("cut", hearth.CallError), ("broken", hearth.RemoteError):
            items = self.x.stream(method)
            self.assertEqual(next(items), 1)
            with self.assertRaises(error) as caught:
                next(items)
            self.assertEqual(caught.exception.executed, "yes")
        with self.assertRaisesRegex(hearth.CallError, "use stream"):
            self.x.items()
        with self.assertRaisesRegex(hearth.CallError, "use call"):
            next(self.x.stream("add"))
        items = self.x.stream("items", 1)
        next(items)
        items.close()

    def test_errors(self):
        with self.assertRaises(hearth.RemoteError) as caught:
            self.x.fail()
        self.assertEqual((caught.exception.class_name, str(caught.exception)), ("KeyError", "KeyError: gone"))
        for method, code, executed in (("busy", "exhausted", "no"), ("html", "invalid", "unknown"),
                                       ("bad", "invalid", "unknown"), ("silent", "unavailable", "unknown")):
            with self.assertRaises(hearth.CallError) as caught:
                self.x.call(method)
            self.assertEqual((caught.exception.code, caught.exception.executed), (code, executed), method)
        self.assertEqual(self.x.add(5), 12345678901234567890123)
        for wrong in "a/b", "", "a?b", "a b", "\u00e4":
            with self.assertRaises(ValueError):
                self.x.call(wrong)
        with self.assertRaises(TypeError):
            self.x.call("add", 1, k=2)
        with self.assertRaises(TypeError):
            self.x.call("add", object())
        with self.assertRaises(ValueError):
            self.x.call("add", float("nan"))
        with self.assertRaises(ValueError):
            self.x.call_once("a\r\nX: y", "add")

    def test_unreachable(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        with self.assertRaises(hearth.CallError) as caught:
            hearth.HTTPClient("http://127.0.0.1:%d" % port).object("acme.x").add(1)
        self.assertEqual((caught.exception.code, caught.exception.executed), ("unavailable", "no"))

    def test_keys_are_not_sent_in_the_clear(self):
        for url in "http://example.com:80", "http://localhost.example", "http://10.0.0.1":
            with self.assertRaisesRegex(ValueError, "https"):
                hearth.HTTPClient(url, bearer="x")
            hearth.HTTPClient(url)
        for url in "http://localhost:1", "http://[::1]:1/", "http+unix:/x", "https://example.com":
            hearth.HTTPClient(url, bearer="x")
        for url in "http://", "ftp://x", "http://a/b", "http://u:p@a", "x":
            with self.assertRaisesRegex(ValueError, "the address is"):
                hearth.HTTPClient(url)

    def test_idle_connection_that_the_host_closed(self):
        self.assertEqual(self.x.add(5), 12345678901234567890123)
        [one] = self.client._idle
        one.sock.shutdown(socket.SHUT_RDWR)
        self.assertEqual(self.x.add(5), 12345678901234567890123)

    def test_unix_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "s")
            with socket.socket(socket.AF_UNIX) as s:
                s.bind(path)
                s.listen()
                threading.Thread(target=self.answer_once, args=(s,), daemon=True).start()
                with hearth.HTTPClient("http+unix:" + path, bearer="x") as client:
                    self.assertEqual(client.object("acme.x").add(), 7)

    @staticmethod
    def answer_once(listener):
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n7")


if __name__ == "__main__":
    if sys.argv[1:] == ["--write-vectors"]:
        with open(VECTORS, "w", encoding="utf-8") as file:
            file.write(json.dumps(vectors(), indent=2) + "\n")
    else:
        unittest.main()
