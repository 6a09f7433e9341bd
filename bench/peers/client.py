"""An unmodified Pyro4 client as load: client.py URI WORK TEXT SECONDS.

Calls once, says "ready", and waits for a line. Then it calls for so many seconds and prints
"end" and a line: the seconds it took, and the nanoseconds of each call.
"""
import sys
import time

import Pyro4

uri, work, text, seconds = sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])
proxy = Pyro4.Proxy(uri)
if work == "add":
    call, args, want = proxy.add, (20, 22), 42
else:
    call, args, want = proxy.echo, (text,), text
if call(*args) != want:
    sys.exit("wrong answer of %s" % work)
print("ready", flush=True)
if not sys.stdin.readline():
    sys.exit("nobody waits for the result")

clock = time.perf_counter_ns
times = []
start = last = clock()
end = start + int(seconds * 1e9)
while last < end:
    if call(*args) != want:
        sys.exit("wrong answer of %s" % work)
    now = clock()
    times.append(now - last)
    last = now
print("end", flush=True)
print((last - start) / 1e9, *times, flush=True)
