"""A Pyro4 client that calls, while what it calls is killed, until its standard input ends.
A call may fail if it says whether it was executed. Environment: HEARTH_TCP."""

import os
import select
import sys

import Pyro4

Pyro4.config.COMMTIMEOUT = 60.0

echo = Pyro4.Proxy("PYRO:demo.e@" + os.environ["HEARTH_TCP"])
answers = errors = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    try:
        assert echo.echo(answers) == answers
        answers += 1
    except (Pyro4.errors.PyroError, RuntimeError) as e:  # a refused connection is a CommunicationError
        assert "not executed" in str(e) or "whether it was executed is unknown" in str(e), e
        errors += 1
assert answers > 0
print("%d answers and %d errors" % (answers, errors))
