-- os.time and os.date.
print(pcall(os.time, {year = 2020}))
print(pcall(os.time, {year = 2020, month = 1}))
print(pcall(os.time, {month = 1, day = 1}))
print(pcall(os.time, {year = "x", month = 1, day = 1}))
print(os.time{year = "2020", month = "1", day = "2"} == os.time{year = 2020, month = 1, day = 2})
print(os.time{year = 2020, month = 1, day = 2, hour = 0} - os.time{year = 2020, month = 1, day = 1, hour = 0})
print(os.time{year = 2020, month = 14, day = -3} == os.time{year = 2021, month = 1, day = 28}, os.time{year = 2020,
  month = 1, day = 1} == os.time{year = 2020, month = 1, day = 1, hour = 12})
local stamp = 1234567890
for letter in ("aAbBcdHIjmMpSUwWxXyYZ%"):gmatch(".") do print(letter, os.date("!%" .. letter, stamp)) end
print(os.date("!%Y-%m-%dT%H:%M:%SZ", 0), os.date("!%d.%m.%y", 86400 * 365), os.date("!", 0), os.date("!plain", 0))
local d = os.date("!*t", stamp)
print(d.year, d.month, d.day, d.hour, d.min, d.sec, d.wday, d.yday, d.isdst)
print(type(os.time()), type(os.clock()), type(os.date()), os.difftime(5, 3), pcall(os.date, {}), pcall(os.difftime))
print(os.date("!%H", 3.9), os.date("!%j", "86400"))
