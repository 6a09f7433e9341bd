-- beside: me attack -> error ~"does not load.*limit exceeded"
-- call: alice attack -> error ~"does not load.*limit exceeded"
-- call: me other.attack -> error ~"does not load.*limit exceeded"
while true do end
