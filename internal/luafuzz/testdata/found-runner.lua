T(debug.traceback())
T(debug.traceback("m", 2) == nil)
print(debug.traceback("x"))
