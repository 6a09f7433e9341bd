"""Client side of Hearth for Python: the signed channel, TLS and profiles, under Pyro4 and Pyro5.

    import hearth
    counter = hearth.proxy5("demo.counter", "alice.json")     # proxy4 for Pyro4
    counter.add(5)

A profile (a JSON file or a dict) holds the address of the host and the credentials; the README
in this folder describes it. connect(profile) returns a connected socket instead.

HTTPClient calls objects over HTTP, without Pyro.

One file, Python 3.9 or newer, standard library only. Pyro4 or Pyro5 is imported with the first
proxy of it. To test a profile:

    python3 hearth.py call alice.json demo.counter add 5

Protection of the channels: "hmac" proves to each side that the other one has the key, and that
no data was changed, replayed, reordered, dropped or cut; it does not encrypt. "tls" also
encrypts. "plain" protects nothing: for loopback and Unix sockets, where the kernel reports the
caller's user.
"""

import argparse
import base64
import binascii
import datetime
import errno
import functools
import hashlib
import hmac
import http.client
import ipaddress
import json
import math
import os
import re
import select
import shlex
import socket
import ssl
import stat
import struct
import sys
import threading
import time

__all__ = ["AuthenticationError", "CallError", "HTTPClient", "HTTPObject", "IntegrityError", "KeyFileError",
           "ProfileError", "RemoteError", "Key", "Profile", "SignedSocket", "connect", "load_keys", "load_profile", "proxy4", "proxy5"]

CONNECT_TIMEOUT = 10.0          # seconds for connecting and the handshake, if the caller sets no timeout

_MAGIC = b"HRTHMAC1"
_NONCE_SIZE = _PROOF_SIZE = _TAG_SIZE = _KEY_SIZE = 32
_REPLY_SIZE = len(_MAGIC) + _NONCE_SIZE + _PROOF_SIZE
_LENGTH_SIZE = 4
_MAX_RECORD = 65536             # bytes of data in a record
_READ_SIZE = 2 * _MAX_RECORD    # bytes requested by one read of the network
_KEY_FILE_MAX = 1 << 20         # bytes; thousands of keys
_MSG_WAITALL = getattr(socket, "MSG_WAITALL", 0)        # Windows may lack these two
_MSG_DONTWAIT = getattr(socket, "MSG_DONTWAIT", 0)
_AT_ONCE = 0.0                  # a deadline that does not block
_READ, _WRITE = 1, 2            # events to wait for

_new_nonce = functools.partial(os.urandom, _NONCE_SIZE)     # replaced by tests alone


class AuthenticationError(ConnectionError):
    """The host did not prove that it has the key. Nothing was sent to it but the key's id."""


class IntegrityError(ConnectionError):
    """The received data was changed, or the stream was cut. The connection is closed."""


class KeyFileError(ValueError):
    """A key file that cannot be used: loose permissions, or a line that is not a key."""


class ProfileError(ValueError):
    """A client profile that cannot be used."""


# --- keys ---------------------------------------------------------------------------------

class Key:
    """A shared key and its id. Neither repr, str nor pickle show the secret."""

    __slots__ = ("id", "_secret")

    def __init__(self, id, secret):
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", id):
            raise KeyFileError("a key id has 1 to 64 characters of A-Z a-z 0-9 . _ -")
        if len(secret) != _KEY_SIZE:
            raise KeyFileError("a key has %d bytes" % _KEY_SIZE)
        self.id = id
        self._secret = bytes(secret)

    def __repr__(self):
        return "<hearth.Key %r>" % self.id

    def __reduce__(self):
        raise TypeError("a key is not pickled: pass the name of its file")


def load_keys(path):
    """Returns the keys of a key file, the newest first. KeyFileError if anything about the file is not as it must be.

    On Windows, which has neither owners nor modes in this sense, those two are not checked.
    """
    text = _read_private(path)
    keys, seen = [], set()
    for number, line in enumerate(text.split("\n"), 1):
        if not line or line.startswith("#"):
            continue
        try:
            key = _parse_key(line)
            if key.id in seen:
                raise KeyFileError("the id %s stands here a second time" % key.id)
        except KeyFileError as x:
            raise KeyFileError("%s:%d: %s" % (path, number, x)) from None
        seen.add(key.id)
        keys.append(key)
    return keys


def _parse_key(line):
    # No message quotes the line: it holds the key.
    if "\r" in line:
        raise KeyFileError("the line ends in CR LF; a key file has LF alone")
    fields = line.split(" ")
    if len(fields) != 4 or fields[0] != "hearth-key-1":
        raise KeyFileError("not of the form: hearth-key-1 ID KEY CREATED, with one space between")
    try:
        secret = base64.b64decode(fields[2] + "=", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    # Encoding again rejects text that decodes but is not the canonical form of these bytes.
    if len(secret) != _KEY_SIZE or _encode_secret(secret) != fields[2]:
        raise KeyFileError("the key is not %d bytes in base64url without padding" % _KEY_SIZE)
    if not _is_time(fields[3]):
        raise KeyFileError("the time is not RFC 3339 in UTC, such as 2026-01-31T12:00:00Z")
    return Key(fields[1], secret)


def _encode_secret(secret):
    return base64.urlsafe_b64encode(secret).decode("ascii").rstrip("=")


def _is_time(text):
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z", text):
        return False
    try:
        datetime.datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return False
    return True


def _read_private(path):
    try:
        # O_NONBLOCK: a FIFO must not block. A symlink is followed: its target is checked.
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except OSError as x:
        raise KeyFileError("%s: cannot be opened: %s" % (path, x.strerror)) from None
    try:
        _check_private(path, os.fstat(fd))
        with open(fd, "rb", closefd=False) as file:
            data = file.read(_KEY_FILE_MAX + 1)
    finally:
        os.close(fd)
    if len(data) > _KEY_FILE_MAX:
        raise KeyFileError("%s: too large for a key file" % path)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise KeyFileError("%s: not UTF-8" % path) from None


def _check_private(path, info):
    if not stat.S_ISREG(info.st_mode):
        raise KeyFileError("%s: not a regular file" % path)
    if not hasattr(os, "geteuid"):
        return
    if info.st_uid != os.geteuid():
        raise KeyFileError("%s: belongs to another user; run: chown %s %s"
                           % (path, _user_name(os.geteuid()), shlex.quote(str(path))))
    if stat.S_IMODE(info.st_mode) not in (0o600, 0o400):
        raise KeyFileError("%s: has mode %04o, which is not private; run: chmod 600 %s"
                           % (path, stat.S_IMODE(info.st_mode), shlex.quote(str(path))))


def _check_public(path, error):
    """Rejects a world-writable file that determines trust or credentials."""
    try:
        info = os.stat(path)
    except OSError as x:
        raise error("%s: cannot be read: %s" % (path, x.strerror)) from None
    if hasattr(os, "geteuid") and info.st_mode & 0o002:
        raise error("%s: is world-writable (mode %04o); run: chmod o-w %s"
                    % (path, stat.S_IMODE(info.st_mode), shlex.quote(str(path))))


def _user_name(uid):
    import pwd
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


# --- the signed channel -------------------------------------------------------------------

def _hmac(key, message):
    return hmac.new(key, message, hashlib.sha256).digest()


class _Schedule:
    """The values derived from the key and both greetings: the proofs, and a MAC key for each direction."""

    def __init__(self, key, hello, server_nonce):
        transcript = hashlib.sha256(hello + _MAGIC + server_nonce).digest()
        prk = _hmac(transcript, key._secret)                            # HKDF-Extract, salt = transcript

        def derive(label):
            return _hmac(prk, b"hearth hmac 1 " + label + b"\x01")      # HKDF-Expand, its first block

        self.server_proof = _hmac(derive(b"server proof"), transcript)
        self.client_proof = _hmac(derive(b"client proof"), transcript)
        self.client_mac = hmac.new(derive(b"client record"), digestmod=hashlib.sha256)
        self.server_mac = hmac.new(derive(b"server record"), digestmod=hashlib.sha256)


def _tag(mac, counter, data):
    mac = mac.copy()
    mac.update(struct.pack(">QI", counter, len(data)))
    mac.update(data)
    return mac.digest()


class SignedSocket:
    """The client's end of the signed channel over a connected stream socket (a TLS socket too).

    The constructor takes the socket over, greets the host and returns once the host has
    proved that it has the key, within the socket's timeout (CONNECT_TIMEOUT if it has none).
    After that the object behaves as a socket does. It is for one thread at a time.

    - recv returns verified bytes only. The first bad byte, length, order or tag, and a stream
      that ends without the host's end record, raise IntegrityError and close the connection;
      every later call raises the same.
    - A timeout loses nothing. Whatever part of a record has arrived is kept for the next recv.
      send counts a record as sent once it is sealed; a rest that the network did not take in
      time goes out before anything else, in the next send, recv or shutdown.
    - fileno() is readable when the network is: bytes that are verified and not yet fetched do
      not show in select().
    - close() and shutdown() tell the host that nothing more comes, if that needs no waiting
      (shutdown(SHUT_WR) waits).
    """

    def __init__(self, sock, key):
        self._sock = sock
        self._timeout = sock.gettimeout()
        self._tls = isinstance(sock, ssl.SSLSocket)
        self._key_id = key.id
        self._failure = None            # the text of the IntegrityError that ended it
        self._raw = bytearray()         # arrived, not verified
        self._plain = bytearray()       # verified, not fetched
        self._out = bytearray()         # sealed, not yet taken by the network
        self._received = self._sent = 0     # records, each way
        self._ended = False             # the host's end record came
        self._read_shut = self._write_shut = False
        try:
            sock.setblocking(False)     # we do the waiting, so that a timeout cuts nothing in two
            self._greet(key, time.monotonic() + (self._timeout or CONNECT_TIMEOUT))
        except BaseException:
            sock.close()
            raise

    def __repr__(self):
        try:
            peer = "to %r" % (self._sock.getpeername(),)
        except OSError:
            peer = "closed"
        return "<hearth.SignedSocket %s with key %r>" % (peer, self._key_id)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()

    # -- attributes of a socket

    @property
    def family(self):
        return self._sock.family

    @property
    def type(self):
        return self._sock.type

    @property
    def proto(self):
        return self._sock.proto

    @property
    def timeout(self):
        return self._timeout

    def fileno(self):
        return self._sock.fileno()

    def getpeername(self):
        return self._sock.getpeername()

    def getsockname(self):
        return self._sock.getsockname()

    def getsockopt(self, *args):
        return self._sock.getsockopt(*args)

    def setsockopt(self, *args):
        return self._sock.setsockopt(*args)

    def gettimeout(self):
        return self._timeout

    def settimeout(self, timeout):
        if timeout is not None:
            timeout = float(timeout)
            if not 0 <= timeout < math.inf:
                raise ValueError("a timeout is a number of seconds from 0 on")
        self._timeout = timeout

    def setblocking(self, blocking):
        self._timeout = None if blocking else 0.0

    def getblocking(self):
        return self._timeout != 0

    # -- receiving

    def recv(self, bufsize, flags=0):
        """Returns up to bufsize verified bytes, b"" after the host's end record.

        With MSG_WAITALL it returns exactly bufsize bytes unless the stream ends before, and a
        timeout leaves all of them for the next call. MSG_PEEK and MSG_DONTWAIT work as well.
        """
        if bufsize < 0:
            raise ValueError("negative buffersize in recv")
        if flags & ~(_MSG_WAITALL | socket.MSG_PEEK | _MSG_DONTWAIT):
            raise OSError(errno.EOPNOTSUPP, "recv: flags other than MSG_WAITALL, MSG_PEEK and MSG_DONTWAIT")
        self._check()
        deadline = _AT_ONCE if flags & _MSG_DONTWAIT else self._deadline()
        want = bufsize if flags & _MSG_WAITALL else min(bufsize, 1)
        try:
            while len(self._plain) < want and not self._ended and not self._read_shut:
                self._next_record(deadline)
        except BlockingIOError:
            if not self._plain:
                raise
        if self._ended and not self._plain:
            self._check_silence()
        data = bytes(self._plain[:bufsize])
        if not flags & socket.MSG_PEEK:
            del self._plain[:len(data)]
        return data

    def recv_into(self, buffer, nbytes=0, flags=0):
        """Like recv, into a buffer; returns the number of bytes. nbytes 0 means the buffer's size."""
        view = memoryview(buffer).cast("B")
        if not 0 <= nbytes <= len(view):
            raise ValueError("nbytes is negative, or larger than the buffer")
        data = self.recv(nbytes or len(view), flags)
        view[:len(data)] = data
        return len(data)

    def _next_record(self, deadline):
        """Reads one record from the stream. If it raises, the received part stays in _raw."""
        self._need(_LENGTH_SIZE, deadline)
        length = int.from_bytes(self._raw[:_LENGTH_SIZE], "big")
        if length > _MAX_RECORD:
            self._fail("a record announces %d bytes, more than %d" % (length, _MAX_RECORD))
        end = _LENGTH_SIZE + length
        self._need(end + _TAG_SIZE, deadline)
        data = bytes(self._raw[_LENGTH_SIZE:end])
        tag = bytes(self._raw[end:end + _TAG_SIZE])
        if not hmac.compare_digest(tag, _tag(self._schedule.server_mac, self._received, data)):
            self._fail("a record was altered, replayed, reordered or dropped on the way")
        self._received += 1
        del self._raw[:end + _TAG_SIZE]
        self._plain += data
        if not data:
            self._ended = True
            self._check_silence()

    def _need(self, size, deadline):
        while len(self._raw) < size:
            if not self._fill(deadline):
                self._fail("the stream was cut: it ended %s" % ("within a record" if self._raw else "without the host's word"))

    def _check_silence(self):
        """After the end record there is nothing: fails if something has arrived nevertheless."""
        try:
            if not self._raw and not self._read_shut:
                self._raw += self._sock.recv(1)
        except OSError:
            pass            # no data, or the host has closed the connection as announced
        if self._raw:
            self._fail("data after the end record")

    def _fill(self, deadline):
        """Adds received data to _raw, waiting until deadline. Returns False at the end of the stream."""
        while True:
            rest = self._push()
            need = _READ
            try:
                chunk = self._sock.recv(_READ_SIZE)
                self._raw += chunk
                return bool(chunk)
            except ssl.SSLWantWriteError:
                need = _WRITE
            except (BlockingIOError, ssl.SSLWantReadError):
                pass
            except ssl.SSLEOFError:
                return False
            except ssl.SSLError as x:
                self._fail("TLS: %s" % x)
            self._wait(need | rest, deadline)

    # -- sending

    def send(self, data, flags=0):
        """Seals up to 65536 bytes as one record and sends it; returns how many bytes it took."""
        self._check_send(flags)
        view = memoryview(data).cast("B")[:_MAX_RECORD]
        if not view:
            return 0                # a record without data would be the end record
        deadline = self._deadline()
        self._flush(deadline)       # a timeout here: the rest of an earlier record is not yet sent
        self._seal(view)
        try:
            self._flush(deadline)
        except (socket.timeout, BlockingIOError):
            pass                    # sealed, so taken; the rest goes out with the next call
        return len(view)

    def sendall(self, data, flags=0):
        """Sends all of data. After a timeout, as with any socket, there is no telling how much went out."""
        self._check_send(flags)
        view = memoryview(data).cast("B")
        deadline = self._deadline()
        for start in range(0, len(view), _MAX_RECORD):
            self._flush(deadline)
            self._seal(view[start:start + _MAX_RECORD])
        self._flush(deadline)

    def _check_send(self, flags):
        if flags:
            raise OSError(errno.EOPNOTSUPP, "send: flags are not supported")
        self._check()
        if self._write_shut:
            raise BrokenPipeError(errno.EPIPE, "this end has shut down sending")

    def _seal(self, data):
        self._out += struct.pack(">I", len(data))
        self._out += data
        self._out += _tag(self._schedule.client_mac, self._sent, data)
        self._sent += 1

    def _push(self):
        """Sends as much of _out as possible without blocking. Returns the event to wait for, 0 when all is sent."""
        while self._out:
            try:
                del self._out[:self._sock.send(self._out)]
            except ssl.SSLWantReadError:
                return _READ
            except (BlockingIOError, ssl.SSLWantWriteError):
                return _WRITE
        return 0

    def _flush(self, deadline):
        need = self._push()
        while need:
            self._wait(need, deadline)
            need = self._push()

    # -- ending

    def shutdown(self, how):
        self._check()
        if how in (socket.SHUT_RD, socket.SHUT_RDWR):
            self._read_shut = True
        if how in (socket.SHUT_WR, socket.SHUT_RDWR):
            self._end()
        if how == socket.SHUT_WR:
            self._flush(self._deadline())
            if self._tls:
                return      # SSLSocket.shutdown drops the TLS layer in both directions
        self._sock.shutdown(how)

    def close(self):
        """Closes the connection. Never waits and never raises; may be called twice."""
        if self._sock.fileno() < 0:
            return
        try:
            self._end()
        except OSError:
            pass
        self._sock.close()

    def _end(self):
        if not self._write_shut:
            self._write_shut = True
            self._seal(b"")
        self._push()

    # -- common

    def _greet(self, key, deadline):
        id = key.id.encode("ascii")
        hello = _MAGIC + bytes([len(id)]) + id + _new_nonce()
        self._out += hello
        try:
            while len(self._raw) < _REPLY_SIZE and self._raw[:len(_MAGIC)] == _MAGIC[:len(self._raw)]:
                if not self._fill(deadline):
                    break
        except ConnectionError as x:
            raise AuthenticationError("%s (%s)" % (self._no_host(), x)) from x
        if len(self._raw) < _REPLY_SIZE or not self._raw.startswith(_MAGIC):
            raise AuthenticationError(self._no_host())
        reply = bytes(self._raw[len(_MAGIC):_REPLY_SIZE])
        self._schedule = _Schedule(key, hello, reply[:_NONCE_SIZE])
        if not hmac.compare_digest(reply[_NONCE_SIZE:], self._schedule.server_proof):
            raise AuthenticationError(
                "the host did not prove that it has the key %r: the key was revoked or never added there (unknown key id), "
                "the keys of this id differ (wrong key), or something between here and the host altered the greeting" % key.id)
        del self._raw[:_REPLY_SIZE]
        self._out += self._schedule.client_proof
        self._flush(deadline)

    def _no_host(self):
        if not self._raw:
            what = "the connection was closed without an answer to the greeting"
        elif self._raw.startswith(b"PYRO"):
            what = "a Pyro daemon without the signed channel answered (is the channel \"plain\"?)"
        elif self._raw[:1] == b"\x15":
            what = "a TLS server answered (is the channel \"tls\"?)"
        else:
            what = "the answer is not that of a Hearth host with the signed channel"
        return "the host did not prove that it has the key %r: %s" % (self._key_id, what)

    def _check(self):
        if self._failure:
            raise IntegrityError(self._failure)
        if self._sock.fileno() < 0:
            raise OSError(errno.EBADF, "the socket is closed")

    def _fail(self, text):
        self._failure = text
        for buffer in (self._raw, self._plain, self._out):
            buffer.clear()
        self._sock.close()
        raise IntegrityError(text)

    def _deadline(self):
        return time.monotonic() + self._timeout if self._timeout else self._timeout

    def _wait(self, events, deadline):
        """Waits until the network is ready for one of events. A deadline of None is no limit; _AT_ONCE does not block."""
        if deadline == _AT_ONCE:
            raise BlockingIOError(errno.EAGAIN, "nothing to be had without waiting")
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise socket.timeout("timed out")
        if hasattr(select, "poll"):
            poll = select.poll()
            poll.register(self._sock, (select.POLLIN if events & _READ else 0) | (select.POLLOUT if events & _WRITE else 0))
            poll.poll(None if left is None else math.ceil(left * 1000))
        else:
            select.select([self._sock] if events & _READ else [], [self._sock] if events & _WRITE else [], [self._sock], left)


# --- profiles -----------------------------------------------------------------------------

_PATHS = ("key", "ca", "cert", "cert_key")
_FIELDS = ("address", "channel", "server_name") + _PATHS
_ALLOWED = {        # fields beside address and channel: those it must have, those it may have
    "plain": ((), ()),
    "hmac": (("key",), ("key",)),
    "tls": (("ca",), ("ca", "cert", "cert_key", "server_name", "key")),
}


class Profile:
    """A checked client profile with absolute paths, made by load_profile. It holds no secrets.

    Missing fields are None: host and port for a Unix socket, unix_path for TCP.
    """

    def __init__(self, fields, folder):
        for name, value in fields.items():
            if name not in _FIELDS:
                raise ProfileError("unknown field %r; the fields are %s" % (name, ", ".join(_FIELDS)))
            if not isinstance(value, str) or not value or "\0" in value:
                raise ProfileError("%s is not a text, or an empty one" % name)
        for name in _FIELDS:
            value = fields.get(name)
            setattr(self, name, os.path.join(folder, value) if value and name in _PATHS else value)
        self._check()
        self.host, self.port, self.unix_path = _parse_address(self.address, folder)
        if self.channel == "tls":
            self.server_name = self.server_name or self.host
            if not self.server_name:
                raise ProfileError("tls over a Unix socket needs server_name, the name in the host's certificate")

    def _check(self):
        if not self.address:
            raise ProfileError("address is missing")
        if self.channel not in _ALLOWED:
            raise ProfileError("channel is missing or unknown; it is one of: %s" % ", ".join(_ALLOWED))
        must, may = _ALLOWED[self.channel]
        for name in _PATHS + ("server_name",):
            value = getattr(self, name)
            if name in must and not value:
                raise ProfileError("channel %s needs %s" % (self.channel, name))
            if value and name not in may:
                raise ProfileError("channel %s does not use %s" % (self.channel, name))
        if bool(self.cert) != bool(self.cert_key):
            raise ProfileError("cert and cert_key require each other")


def _parse_address(address, folder):
    if address.startswith("unix:"):
        if len(address) == len("unix:"):
            raise ProfileError("address: unix: without a path")
        return None, None, os.path.join(folder, address[len("unix:"):])
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+(?:%[^\]\s]+)?)\]|([^\s:\[\]/]+)):([0-9]{1,5})", address)
    if not match or not 1 <= int(match.group(3)) <= 65535:
        raise ProfileError("address is not host:port, [::1]:port or unix:path")
    return match.group(1) or match.group(2), int(match.group(3)), None


def load_profile(profile):
    """Returns the Profile of a JSON file's path, or of a dict, whose paths are relative to the working directory."""
    if isinstance(profile, Profile):
        return profile
    if isinstance(profile, dict):
        return Profile(profile, os.getcwd())
    path = os.path.abspath(profile)
    try:
        _check_public(path, ProfileError)
        with open(path, encoding="utf-8") as file:
            fields = json.load(file, object_pairs_hook=_no_duplicates)
        if not isinstance(fields, dict):
            raise ProfileError("not a JSON object")
        return Profile(fields, os.path.dirname(path))
    except OSError as x:
        raise ProfileError("%s: cannot be read: %s" % (path, x.strerror)) from None
    except ValueError as x:     # ProfileError, bad JSON and bad UTF-8
        raise ProfileError("%s: %s" % (path, x)) from None


def _no_duplicates(pairs):
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ProfileError("a field occurs twice")
    return fields


def connect(profile, timeout=None):
    """Connects with a profile (a path, a dict or a Profile). Returns a socket, an SSLSocket or a SignedSocket.

    timeout bounds each step of connecting in seconds (CONNECT_TIMEOUT for None or 0). It is
    also the timeout of the returned socket. Each call reads the key file and the certificates
    again, so that the next connection uses a rotated key.
    """
    profile = load_profile(profile)
    key = _first_key(profile)
    context = _tls_context(profile)
    sock = _dial(profile, timeout or CONNECT_TIMEOUT)
    try:
        if context:
            # suppress_ragged_eofs, the default, would show a cut as an orderly end.
            sock = context.wrap_socket(sock, server_hostname=profile.server_name, suppress_ragged_eofs=False)
        if key:
            sock = SignedSocket(sock, key)
        sock.settimeout(timeout or None)
        return sock
    except BaseException:
        sock.close()
        raise


def _first_key(profile):
    if not profile.key:
        return None
    keys = load_keys(profile.key)
    if not keys:
        raise KeyFileError("%s: there is no key in it" % profile.key)
    return keys[0]


def _tls_context(profile):
    if profile.channel != "tls":
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)       # checks the certificate and the name in it
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # By default Python makes OpenSSL accept a cut connection as an orderly end; see connect too.
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    _check_public(profile.ca, ProfileError)
    try:
        context.load_verify_locations(cafile=profile.ca)
    except OSError as x:
        raise ProfileError("ca %s: %s" % (profile.ca, x)) from None
    if profile.cert:
        def no_password():
            raise ProfileError("cert_key %s is encrypted with a passphrase, which cannot be entered here; decrypt it "
                               "with: openssl pkey -in %s -out NEW" % (profile.cert_key, shlex.quote(profile.cert_key)))
        _check_public(profile.cert, ProfileError)
        _read_private(profile.cert_key)
        try:
            context.load_cert_chain(profile.cert, profile.cert_key, no_password)
        except OSError as x:
            raise ProfileError("cert %s, cert_key %s: %s" % (profile.cert, profile.cert_key, x)) from None
    return context


def _dial(profile, timeout):
    if not profile.unix_path:
        sock = socket.create_connection((profile.host, profile.port), timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return sock
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(timeout)
        sock.connect(profile.unix_path)
        return sock
    except BaseException:
        sock.close()
        raise


# --- Pyro proxies -------------------------------------------------------------------------

_SETTINGS = {"timeout": "_pyroTimeout", "serializer": "_pyroSerializer",
             "max_retries": "_pyroMaxRetries", "handshake": "_pyroHandshake"}


def proxy4(object_id, profile, **settings):
    """Returns a Pyro4.Proxy for an object of the profile's host. See proxy5 for the settings."""
    return _proxy(_proxy4_class, object_id, profile, settings)


def proxy5(object_id, profile, **settings):
    """Returns a Pyro5.api.Proxy for an object of the profile's host.

    It connects at the first call, and again after the connection was lost, as any Pyro
    proxy does. Settings: timeout (seconds), serializer, max_retries, handshake.
    """
    return _proxy(_proxy5_class, object_id, profile, settings)


def _proxy(make_class, object_id, profile, settings):
    profile = load_profile(profile)
    _first_key(profile)             # reports errors in the files here, not at the first call
    _tls_context(profile)
    for name in settings:
        if name not in _SETTINGS:
            raise TypeError("unknown setting %r; the settings are %s" % (name, ", ".join(_SETTINGS)))
    proxy = make_class()(_pyro_uri(object_id, profile))
    object.__setattr__(proxy, "_hearth", (make_class, profile))
    for name, value in settings.items():
        setattr(proxy, _SETTINGS[name], value)
    return proxy


def _pyro_uri(object_id, profile):
    """The address in Pyro's notation: for messages and for recipients of the proxy as a reference."""
    if profile.unix_path:
        return "PYRO:%s@./u:%s" % (object_id, profile.unix_path)
    host = "[%s]" % profile.host if ":" in profile.host else profile.host
    return "PYRO:%s@%s:%d" % (object_id, host, profile.port)


def _subclass(base, create):
    """Returns a subclass of a Pyro Proxy that makes its connections with create(proxy).

    Why not the connected_socket parameter that both Pyros have: a proxy made with it does not
    send the CONNECT message that a daemon with a listening socket waits for; it never closes
    that socket, so that after a timeout the late answer is taken for the next one; and it
    cannot reconnect. Replacing the method that makes connections has none of this.
    """
    if not hasattr(base, "_Proxy__pyroCreateConnection"):
        raise ImportError("hearth.py does not support this version of %s" % base.__module__.partition(".")[0])

    def create_connection(self, replaceUri=False, connected_socket=None):
        if connected_socket is not None:
            raise TypeError("a Hearth proxy makes its own connections: use proxy4 or proxy5 without connected_socket")
        if "_hearth" not in self.__dict__:
            raise TypeError("a Hearth proxy is made by proxy4 or proxy5")
        return create(self)

    def copy(self):
        twin = base.__copy__(self)
        object.__setattr__(twin, "_hearth", self._hearth)
        return twin

    def reduce(self):
        make_class, profile = self._hearth
        settings = {name: getattr(self, attribute) for name, attribute in _SETTINGS.items()}
        return _proxy, (make_class, self._pyroUri.object, profile, settings)

    # The base's names: sent to a host as an argument, it is a reference like any other proxy.
    return type(base.__name__, (base,), {
        "__module__": base.__module__, "__doc__": base.__doc__, "_Proxy__pyroCreateConnection": create_connection,
        "__copy__": copy, "__reduce__": reduce})


@functools.lru_cache(maxsize=None)
def _proxy4_class():
    from Pyro4 import core, errors, message, socketutil, util

    def greet(proxy, conn):
        serializer = util.get_serializer(proxy._pyroSerializer or core.config.SERIALIZER)
        flags = message.FLAGS_META_ON_CONNECT if core.config.METADATA else 0
        data, compressed = serializer.serializeData(
            {"handshake": proxy._pyroHandshake, "object": conn.objectId}, core.config.COMPRESSION)
        if compressed:
            flags |= message.FLAGS_COMPRESSED
        annotations = proxy._Proxy__annotations(False)
        conn.send(message.Message(message.MSG_CONNECT, data, serializer.serializer_id, flags, proxy._pyroSeq,
                                  annotations=annotations, hmac_key=proxy._pyroHmacKey).to_bytes())
        reply = message.Message.recv(conn, [message.MSG_CONNECTOK, message.MSG_CONNECTFAIL], hmac_key=proxy._pyroHmacKey)
        serializer = util.get_serializer_by_id(reply.serializer_id)
        answer = serializer.deserializeData(reply.data, reply.flags & message.FLAGS_COMPRESSED) if reply.data else "?"
        if reply.type == message.MSG_CONNECTFAIL:
            raise errors.CommunicationError("connection to %s rejected: %s" % (proxy._pyroUri.location, answer))
        if reply.annotations:
            proxy._pyroResponseAnnotations(reply.annotations, reply.type)
        if reply.flags & message.FLAGS_META_ON_CONNECT:
            return answer["handshake"], answer["meta"]
        return answer, None

    def create(proxy):
        with proxy._Proxy__pyroConnLock:
            if not _create_connection(proxy, errors, socketutil, greet):
                return False
            if core.config.METADATA and not proxy._pyroMethods and not proxy._pyroAttrs:
                proxy._pyroGetMetadata(proxy._pyroUri.object)
            return True

    return _subclass(core.Proxy, create)


@functools.lru_cache(maxsize=None)
def _proxy5_class():
    from Pyro5 import client, config, errors, protocol, serializers, socketutil
    from Pyro5.callcontext import current_context

    def greet(proxy, conn):
        serializer = serializers.serializers[proxy._pyroSerializer or config.SERIALIZER]
        data = serializer.dumps({"handshake": proxy._pyroHandshake, "object": conn.objectId})
        conn.send(protocol.SendingMessage(protocol.MSG_CONNECT, 0, proxy._pyroSeq, serializer.serializer_id, data,
                                          annotations=current_context.annotations).data)
        reply = protocol.recv_stub(conn, [protocol.MSG_CONNECTOK, protocol.MSG_CONNECTFAIL])
        answer = serializers.serializers_by_id[reply.serializer_id].loads(reply.data) if reply.data else "?"
        if reply.type == protocol.MSG_CONNECTFAIL:
            raise errors.CommunicationError("connection to %s rejected: %s" % (proxy._pyroUri.location, answer))
        if reply.annotations:
            current_context.response_annotations = reply.annotations
        proxy._pyroLocalSocket = conn.sock.getsockname()
        return answer["handshake"], answer["meta"]

    def create(proxy):
        proxy._Proxy__check_owner()
        return _create_connection(proxy, errors, socketutil, greet)

    return _subclass(client.Proxy, create)


def _create_connection(proxy, errors, socketutil, greet):
    """The part of Pyro's method of this name that both generations share. False if there is a connection."""
    if proxy._pyroConnection is not None:
        return False
    conn = None
    try:
        uri = proxy._pyroUri
        conn = socketutil.SocketConnection(connect(proxy._hearth[1], proxy._pyroTimeout), uri.object)
        answer, metadata = greet(proxy, conn)
        if metadata:
            proxy._pyroGetMetadata(uri.object, metadata)
        proxy._pyroValidateHandshake(answer)
    except BaseException as x:
        if conn:
            conn.close()
        if isinstance(x, errors.PyroError) or not isinstance(x, Exception):
            raise
        raise errors.CommunicationError("cannot connect to %s: %s" % (uri.location, x)) from x
    proxy._pyroConnection = conn
    return True


# --- HTTP ---------------------------------------------------------------------------------

class CallError(Exception):
    """A failed call over HTTP.

    executed is "no", "yes" (or in part) or "unknown". code is the host's name of the error, such as "denied",
    "not_found", "exhausted", "deadline" or "unavailable"; "unavailable" is also an error of the connection. class_name
    is the exception class of the error, "" for none.
    """

    def __init__(self, message, executed="unknown", code="unavailable", status=0, class_name=""):
        super().__init__(message)
        self.executed, self.code, self.status, self.class_name = executed, code, status, class_name

    def __str__(self):
        return "%s (executed: %s)" % (self.args[0], self.executed)


class RemoteError(CallError):
    """An exception of the called object: its class and its message."""

    def __init__(self, class_name, message, traceback=()):
        super().__init__(message, "yes", "raised", 500, class_name)
        self.traceback = list(traceback)

    def __str__(self):
        return "%s: %s" % (self.class_name, self.args[0])


class _UnixHTTPConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class HTTPClient:
    """Calls objects of a host over HTTP, without Pyro.

        client = hearth.HTTPClient("https://host.example:7780", bearer="hk_...", ca="ca.pem", timeout=10)
        counter = client.object("demo.counter")
        counter.add(5)                          # or counter.call("add", 5), counter.call("add", k=5)
        counter.get("total"), counter.set("total", 3)
        for item in counter.stream("count", 3): ...
        counter.call_once("order-17", "add", 5)

    url is http://host:port, https://host:port or http+unix:/path. A bearer key is sent over https, or to this machine.
    cert and cert_key are the client's certificate. timeout bounds each wait for the network, in seconds. The client never
    repeats a call. Threads can share it. It uses no proxy and no variable of the environment.
    """

    MAX_REPLY = 32 << 20                        # bytes

    def __init__(self, url, bearer=None, ca=None, cert=None, cert_key=None, timeout=None):
        self._bearer, self._timeout, self._tls, self._idle, self._lock = bearer, timeout, None, [], threading.Lock()
        if url.startswith("http+unix:"):
            self._path, self._host = url[len("http+unix:"):], ""
            return
        self._path = None
        scheme, _, rest = url.partition("://")
        self._host = rest[:-1] if rest.endswith("/") else rest
        if scheme not in ("http", "https") or not re.fullmatch(r"[A-Za-z0-9.-]+(:[0-9]+)?|\[[0-9a-fA-F:.]+\](:[0-9]+)?", self._host):
            raise ValueError("the address is %r; it must be http://host:port, https://host:port or http+unix:/path" % url)
        name = self._host.rpartition(":")[0] if re.search(r":[0-9]+$", self._host) else self._host
        if bearer is not None and scheme == "http" and not _is_loopback(name.strip("[]")):
            raise ValueError("a bearer key is sent over https, or to a loopback address or a Unix socket, only")
        if scheme == "https":
            self._tls = ssl.create_default_context(cafile=ca)
            self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
            if cert is not None:
                self._tls.load_cert_chain(cert, cert_key)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()

    def close(self):
        """Closes the idle connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for one in idle:
            one.close()

    def object(self, id):
        """Returns an object. It makes no request."""
        return HTTPObject(self, id)

    def objects(self):
        """Returns the ids of the objects that the caller may call."""
        return self._call("GET", "/v1/objects")["objects"]

    def describe(self, id):
        """Returns the description of an object as a dict, with the members that the caller may call."""
        return self._call("GET", "/v1/objects/" + _path_part(id))

    # -- requests

    def _connection(self):
        """Returns an idle connection that the host has not closed, or a new one."""
        while True:
            with self._lock:
                one = self._idle.pop() if self._idle else None
            if one is None:
                break
            if one.sock is not None and not select.select([one.sock], [], [], 0)[0]:
                return one
            one.close()
        if self._path is not None:
            return _UnixHTTPConnection(self._path, self._timeout)
        if self._tls is not None:
            return http.client.HTTPSConnection(self._host, timeout=self._timeout, context=self._tls)
        return http.client.HTTPConnection(self._host, timeout=self._timeout)

    def _request(self, method, path, body=None, headers=()):
        """Sends a request. Returns the connection and the answer, whose body is not read."""
        all_headers = dict(headers)
        if body is not None:
            all_headers["Content-Type"] = "application/json"
        elif method in ("POST", "PUT"):
            all_headers["Content-Length"] = "0"
        if self._bearer is not None:
            all_headers["Authorization"] = "Bearer " + self._bearer
        one, executed = self._connection(), "no"
        try:
            if one.sock is None:
                one.connect()
            one.request(method, path, body, all_headers)
            executed = "unknown"
            return one, one.getresponse()
        except (OSError, http.client.HTTPException) as x:
            one.close()
            code = "deadline" if isinstance(x, TimeoutError) else "unavailable"
            raise CallError("%s: %s" % (type(x).__name__, x), executed, code) from x
        except BaseException:
            one.close()
            raise

    def _read(self, one, answer, most):
        """Reads a body and keeps the connection if it can be used again."""
        try:
            body = answer.read(most + 1)
        except (OSError, http.client.HTTPException) as x:
            one.close()
            code = "deadline" if isinstance(x, TimeoutError) else "unavailable"
            raise CallError("reading the reply: %s" % x, "yes", code) from x
        if len(body) > most or answer.will_close or not answer.isclosed():
            one.close()
        else:
            with self._lock:
                self._idle.append(one)
        if len(body) > most:
            raise CallError("the reply has more than %d bytes" % most, "yes", "too_large")
        return body

    def _call(self, method, path, body=None, headers=()):
        one, answer = self._request(method, path, body, headers)
        kind = answer.headers.get_content_type()
        if answer.status == 200 and kind in ("application/x-ndjson", "text/event-stream"):
            one.close()
            raise CallError("the result is an item stream: use stream", "yes", "invalid")
        if answer.status in (202, 204):
            self._read(one, answer, self.MAX_REPLY)
            return None
        if answer.status == 200 and kind == "application/json":
            return _from_json(self._read(one, answer, self.MAX_REPLY))
        raise self._problem(one, answer)

    def _problem(self, one, answer):
        """Returns the error of an answer that is not a reply."""
        if answer.headers.get_content_type() != "application/problem+json":
            one.close()
            return CallError("status %d without a problem of a host: is it an HTTP listener of one?" % answer.status,
                             "unknown", "invalid", answer.status)
        return _problem_error(self._read(one, answer, 256 << 10))

    def _stream(self, path, body, headers):
        one, answer = self._request("POST", path, body, dict(headers, Accept="text/event-stream"))
        try:
            kind = answer.headers.get_content_type()
            if answer.status < 300 and kind != "text/event-stream":
                raise CallError("the result is not an item stream: use call", "yes", "invalid", answer.status)
            if answer.status != 200:
                raise self._problem(one, answer)
            name, data = "", []
            while True:
                try:
                    line = answer.readline(self.MAX_REPLY + 1)
                except (OSError, http.client.HTTPException) as x:
                    code = "deadline" if isinstance(x, TimeoutError) else "unavailable"
                    raise CallError("reading an item: %s" % x, "yes", code) from x
                if not line.endswith(b"\n"):
                    raise CallError("the item stream was cut off", "yes", "unavailable")
                line = line.rstrip(b"\r\n")
                if line:
                    field, _, value = line.partition(b":")
                    value = value[1:] if value.startswith(b" ") else value
                    if field == b"event":
                        name = value.decode()
                    elif field == b"data":
                        data.append(value)
                    continue
                if name == "end":
                    return
                if name == "error":
                    raise _problem_error(b"\n".join(data))
                if data:
                    yield _from_json(b"\n".join(data))
                name, data = "", []
        finally:
            one.close()                         # the end of the connection closes the stream


class HTTPObject:
    """An object of an HTTPClient. An unknown attribute is a method: obj.add(5) is obj.call("add", 5)."""

    def __init__(self, client, id):
        self._client, self._url, self.id = client, "/v1/objects/" + _path_part(id), id

    def __repr__(self):
        return "<hearth.HTTPObject %s>" % self.id

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return functools.partial(self.call, name)

    def call(self, method, /, *args, **kwargs):
        """Calls a method with positional or with keyword arguments."""
        return self._client._call("POST", self._member(method), _arguments(args, kwargs))

    def call_once(self, key, method, /, *args, **kwargs):
        """Calls a method that the host executes at most once: after an error the call may be sent again, with the same
        key and arguments."""
        if not re.fullmatch(r'[!#-\[\]-~]{1,128}', key):
            raise ValueError("an idempotency key has 1 to 128 visible ASCII characters without quotes and backslashes")
        return self._client._call("POST", self._member(method), _arguments(args, kwargs), {"Idempotency-Key": '"%s"' % key})

    def oneway(self, method, /, *args, **kwargs):
        """Calls a method and returns when the call is queued."""
        self._client._call("POST", self._member(method), _arguments(args, kwargs), {"Prefer": "respond-async"})

    def stream(self, method, /, *args, **kwargs):
        """Calls a method and yields the items of its stream. Closing the generator closes the stream."""
        return self._client._stream(self._member(method), _arguments(args, kwargs), {})

    def get(self, attribute):
        """Reads an attribute."""
        return self._client._call("GET", self._member(attribute))

    def set(self, attribute, value):
        """Writes an attribute."""
        self._client._call("PUT", self._member(attribute), _to_json(value))

    def _member(self, name):
        return self._url + "/" + _path_part(name)


def _path_part(name):
    if not re.fullmatch(r"[A-Za-z0-9._:@+~-]+", name):
        raise ValueError("%r is not the id of an object or the name of a member" % (name,))
    return name


def _is_loopback(name):
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _arguments(args, kwargs):
    if args and kwargs:
        raise TypeError("a call over HTTP has positional or keyword arguments, not both")
    return _to_json(kwargs or list(args)) if args or kwargs else None


def _to_json(value):
    def other(v):
        if isinstance(v, (bytes, bytearray, memoryview)):
            return {"data": base64.b64encode(bytes(v)).decode("ascii"), "encoding": "base64"}
        if isinstance(v, (set, frozenset)):
            return list(v)
        if isinstance(v, (datetime.date, datetime.time)):
            return v.isoformat()
        raise TypeError("a %s cannot be sent" % type(v).__name__)
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=other).encode("utf-8")


def _from_json(data):
    def restore(pairs):
        d = dict(pairs)
        if d.keys() == {"data", "encoding"} and d["encoding"] == "base64" and isinstance(d["data"], str):
            return base64.b64decode(d["data"])
        return d
    try:
        return json.loads(data, object_pairs_hook=restore)
    except ValueError as x:
        raise CallError("the reply is not JSON: %s" % x, "yes", "invalid") from x


def _problem_error(data):
    try:
        p = json.loads(data)
        code = p["type"].rpartition(":")[2]
        if code == "raised":
            return RemoteError(p.get("class", ""), p.get("detail", ""), p.get("traceback", ()))
        return CallError(p.get("detail") or p.get("title", ""), p.get("executed", "unknown"), code, p.get("status", 0),
                         p.get("class", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return CallError("an error that cannot be read", "unknown", "invalid")


# --- the command --------------------------------------------------------------------------

def main(arguments=None):
    parser = argparse.ArgumentParser(prog="hearth.py", description="Tries a Hearth client profile out.")
    call = parser.add_subparsers(dest="verb", required=True).add_parser(
        "call", help="call one method and print its result as JSON")
    call.add_argument("--pyro", choices=("4", "5"), help="which Pyro to use (default: 5 if it is installed, else 4)")
    call.add_argument("--timeout", type=float, default=30.0, help="seconds to wait for the host (30)")
    call.add_argument("profile", help="the profile, a JSON file")
    call.add_argument("object", help="the object's id, such as demo.counter")
    call.add_argument("method", help="a method, or an attribute to read")
    call.add_argument("args", nargs="*", help="each one in JSON; a text is '\"in two kinds of quotes\"'")
    options = parser.parse_args(arguments)
    values = []
    for number, text in enumerate(options.args, 1):
        try:
            values.append(json.loads(text))
        except ValueError:
            parser.error("argument %d is not JSON (a string needs double quotes: '%s')" % (number, json.dumps(text)))
    try:
        with _command_proxy(options) as proxy:
            _print_result(_reach(proxy, options.method, values))
        return 0
    except Exception as x:
        print("hearth.py: %s: %s" % (type(x).__name__, _visible(str(x))), file=sys.stderr)
        return 1


def _command_proxy(options):
    factories = {"4": (proxy4,), "5": (proxy5,), None: (proxy5, proxy4)}[options.pyro]
    for factory in factories:
        try:
            return factory(options.object, options.profile, timeout=options.timeout)
        except ImportError as x:
            missing = x
    raise ImportError("install Pyro5 or Pyro4 for calls: %s" % missing)


def _reach(proxy, method, values):
    proxy._pyroBind()
    if method in proxy._pyroAttrs and not values:
        return getattr(proxy, method)
    return getattr(proxy, method)(*values)


def _print_result(result):
    if hasattr(result, "__next__"):     # an item stream: a line an item
        for item in result:
            print(_json_line(item), flush=True)
    else:
        print(_json_line(result))


def _json_line(value):
    return _visible(json.dumps(value, default=repr, ensure_ascii=False))


def _visible(text):
    """Escapes all that is no visible character as JSON does: no text of others can drive the terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "\\u007f" if c == "\x7f" else json.dumps(c)[1:-1] for c in text)


if __name__ == "__main__":
    sys.exit(main())
