"""A Pyro4 client run by another user of the machine: every door must be closed.

Run by interop_test.go as a user whom the policy does not name. Environment: HEARTH_TCP
and HEARTH_UNIX.
"""

import os
import sys

import Pyro4
import Pyro4.errors

Pyro4.config.COMMTIMEOUT = 20.0

failed = False
for location in [os.environ["HEARTH_TCP"], "./u:" + os.environ["HEARTH_UNIX"]]:
    for name in ["demo.counter", "Pyro.Daemon", "Pyro.NameServer"]:
        p = Pyro4.Proxy("PYRO:%s@%s" % (name, location))
        try:
            p._pyroBind()
        except Pyro4.errors.CommunicationError as x:
            print("refused:", name, location, "-", x)
        else:
            print("NOT REFUSED:", name, location)
            failed = True
sys.exit(1 if failed else 0)
