-- expect: error ~"does not load: [^ ]*load_syntax.lua:3: unexpected symbol near ':'"
-- There is no goto in Lua 5.1.
do ::a:: goto a end
