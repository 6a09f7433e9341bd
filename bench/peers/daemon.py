"""The real Pyro4 daemon. It prints its address in one line and ends with its standard input."""
import os
import sys
import threading

import Pyro4

# Pyro's thread server refuses connections beyond its number of threads. It has one thread per connection of the
# benchmark, and some more.
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
