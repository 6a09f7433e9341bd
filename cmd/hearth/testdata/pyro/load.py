"""A Pyro4 client that calls until its standard input ends. Every call must succeed, and no
object may go back to an older version. Environment: HEARTH_TCP."""

import os
import select
import sys

import Pyro4

Pyro4.config.COMMTIMEOUT = 60.0


def at(name):
    return Pyro4.Proxy("PYRO:%s@%s" % (name, os.environ["HEARTH_TCP"]))


versioned, table = at("demo.v"), at("demo.table")
last = calls = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    begun, ended = versioned.version()
    assert begun == ended, "one call ran on versions %d and %d" % (begun, ended)
    assert begun >= last, "version %d came after %d" % (begun, last)
    last = begun
    table.keys()
    calls += 2
print(calls)
