"""Runs Pyro4's own HTTP gateway, and prints its address.

With an address as its argument, its objects are those of the name server there. Without one, the objects are those of
a name server of this process: the echo server that comes with Pyro4.
"""
import sys
import threading
import warnings
from wsgiref.simple_server import make_server, WSGIRequestHandler

warnings.simplefilter("ignore")

import Pyro4
from Pyro4 import naming
from Pyro4.test import echoserver
from Pyro4.utils import httpgateway

if len(sys.argv) > 1:
    host, port = sys.argv[1].rsplit(":", 1)
else:
    host = "127.0.0.1"
    uri, names, _ = naming.startNS(host, 0, enableBroadcast=False)
    port = uri.port
    threading.Thread(target=names.requestLoop, daemon=True).start()
    echoserver.time.sleep = lambda seconds: None
    daemon = Pyro4.Daemon(host)
    names.nameserver.register("test.echoserver", daemon.register(echoserver.EchoServer()))
    threading.Thread(target=daemon.requestLoop, daemon=True).start()
Pyro4.config.NS_HOST, Pyro4.config.NS_PORT = host, int(port)


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


httpgateway.pyro_app.ns_regex = ""
server = make_server("127.0.0.1", 0, httpgateway.pyro_app, handler_class=Quiet)
print("http://127.0.0.1:%d" % server.socket.getsockname()[1], flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
