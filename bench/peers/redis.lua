#!lua name=bench
-- Arguments of Redis functions are texts.
redis.register_function('add', function(keys, args) return tonumber(args[1]) + tonumber(args[2]) end)
redis.register_function('count', function(keys, args) return redis.call('INCR', keys[1]) end)
redis.register_function('echo', function(keys, args) return args[1] end)
