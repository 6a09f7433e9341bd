"""The real Pyro4 daemon. Says where it listens, in a line, and ends when its standard input does."""
import os
import sys
import threading

import Pyro4

# Pyro's thread server refuses the connection after its last thread: there is one for each
# connection that is made here, and some.
Pyro4.config.THREADPOOL_SIZE = 128
Pyro4.config.SERIALIZERS_ACCEPTED = {"serpent", "msgpack"}


@Pyro4.expose
@Pyro4.behavior(instance_mode="single")
class Work(object):
    def add(self, a, b):
        return a + b

    def echo(self, v):
        return v


def end_with_input():
    sys.stdin.buffer.read()
    os._exit(0)


threading.Thread(target=end_with_input, daemon=True).start()
daemon = Pyro4.Daemon(host="127.0.0.1", port=0)
daemon.register(Work, "bench.work")
print(daemon.locationStr, flush=True)
daemon.requestLoop()
