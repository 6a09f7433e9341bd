local p = 0/0 local n = -p
local function f(a, b) return #tostring(a+b), #tostring(a*b), #tostring(a-b), #tostring(a/b), #tostring(a%b),
  #tostring(a^b), #tostring(math.max(a,b)), #tostring(math.min(a,b)), #tostring(math.fmod(a,b)) end
print(f(p,n)) print(f(n,p)) print(f(p,1)) print(f(n,1)) print(f(1,p)) print(f(1,n))
print(f(p,p)) print(f(n,n)) print(f(1/0,-1/0)) print(f(1/0,0)) print(f(0,0)) print(f(-1/0, 1/0)) print(f(1/0, 1/0))
  print(f(0,1/0)) print(f(-0,-1/0)) print(f(p, 1/0)) print(f(n,0)) print(f(5,n)) print(f(-5,p)) print(f("-nan",
  "nan")) print(f("nan", "-nan")) print(f("nan", 1)) print(f(1, "-nan"))
print(#tostring(-(0/0)), #tostring(-p), #tostring(-n), #tostring(tonumber("nan")), #tostring(tonumber("-nan")),
  #tostring(math.abs(p)), #tostring(math.abs(n)), #tostring(math.floor(p)), #tostring(math.ceil(n)),
  #tostring(math.sqrt(-1)), #tostring(math.sqrt(p)), #tostring(math.sqrt(n)), #tostring(math.log(-1)),
  #tostring(math.sin(1/0)), #tostring(math.modf(p)), #tostring(math.frexp(p)), #tostring(math.ldexp(n, 2)),
  #tostring(math.deg(n)), #tostring(math.acos(2)), #tostring(math.exp(p)), #tostring(math.log10(-1)),
  #tostring(math.tan(1/0)), #tostring(math.cos(1/0)), #tostring(math.asin(2)), #tostring(math.log(p)))
print(#tostring(math.atan2(p,n)), #tostring(math.atan2(n,p)), #tostring(math.atan2(1,n)),
  #tostring(math.atan2(p,1)), #tostring(math.cosh(n)), #tostring(math.sinh(p)), #tostring(math.tanh(p)),
  #tostring(math.tanh(n)), #tostring(math.atan(p)), #tostring(math.acos(p)), #tostring(math.asin(n)),
  #tostring(math.tan(n)), #tostring(math.sin(p)), #tostring(math.rad(p)), #tostring(math.pow(p, n)),
  #tostring(math.log10(n)), #tostring(math.log10(p)))
print(("%f %g %e %5.1f|%x"):format(p, n, p, n, 1), ("%d"):format(1), p .. "", n .. "x", tostring(p),
  #tostring(math.fmod(p, 0)), #tostring(math.fmod(1/0, n)), #tostring(math.fmod(1/0, 1)))
