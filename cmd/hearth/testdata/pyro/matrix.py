"""A real Pyro4 client that tries every call it is given, and prints as JSON which it may
make and what each object shows of itself.

Run by matrix_test.go. Environment: HEARTH_WAY (peer, hmac or cert), HEARTH_AT (host:port),
HEARTH_CALLS ("object.method" by commas); for hmac HEARTH_KEY and HEARTH_CLIENT (folder of
hearth.py); for cert HEARTH_CA, HEARTH_CERT and HEARTH_KEY.
"""

import json
import os
import sys

import Pyro4

Pyro4.config.SERIALIZER = "serpent"
WAY, AT = os.environ["HEARTH_WAY"], os.environ["HEARTH_AT"]

if WAY == "hmac":
    sys.path.insert(0, os.environ["HEARTH_CLIENT"])
    import hearth

    def proxy(name):
        return hearth.proxy4(name, {"address": AT, "channel": "hmac", "key": os.environ["HEARTH_KEY"]}, timeout=20)
else:
    if WAY == "cert":
        Pyro4.config.SSL = True
        Pyro4.config.SSL_CACERTS = os.environ["HEARTH_CA"]
        Pyro4.config.SSL_CLIENTCERT = os.environ["HEARTH_CERT"]
        Pyro4.config.SSL_CLIENTKEY = os.environ["HEARTH_KEY"]

    def proxy(name):
        p = Pyro4.Proxy("PYRO:" + name + "@" + AT)
        p._pyroTimeout = 20
        return p


def may(call):
    """Whether a call is answered, without a look at what the object shows of itself."""
    name, method = call.rsplit(".", 1)
    Pyro4.config.METADATA = False
    with proxy(name) as p:
        try:
            return getattr(p, method)() == method
        except Pyro4.errors.DaemonError as e:
            assert str(e) == "unknown object", e
            return False


def shows(name):
    """The methods that the object shows, None if it shows not even itself."""
    Pyro4.config.METADATA = True
    with proxy(name) as p:
        try:
            p._pyroBind()
        except Pyro4.errors.CommunicationError as e:
            assert "unknown object" in str(e), e
            return None
        return sorted(p._pyroMethods)


calls = os.environ["HEARTH_CALLS"].split(",")
objects = sorted({c.rsplit(".", 1)[0] for c in calls})
Pyro4.config.METADATA = False
with proxy("Pyro.Daemon") as d:
    registered = sorted(n for n in d.registered() if not n.startswith("Pyro."))
print(json.dumps({"may": {c: may(c) for c in calls}, "shows": {o: shows(o) for o in objects}, "registered": registered}))
