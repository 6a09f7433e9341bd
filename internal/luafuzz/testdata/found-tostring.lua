-- A string's own __tostring, and names with a zero byte.
T(pcall(function() return 0 .. ("")["a\0b"] end))
T(pcall(function() local t = {} t["x\0y"].z = 1 end))
getmetatable("").__tostring = 0
T(pcall(tostring, ""))
getmetatable("").__tostring = function(s) return "<" .. s .. ">" end
T(tostring("a"), tostring(1), ("%s"):format("b"), "c" .. "d")
print("e", 2, nil)
getmetatable("").__tostring = nil
T(tostring("f"))
