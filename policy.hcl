# Who may call what on this host. Everything that no permit allows is denied.
# doc/policy.md explains each block and has more examples. `hearth policy check` checks a
# changed file, `hearth policy explain clerk shop.till.sell` says why somebody may.

scripts = "scripts" # a folder a tenant; relative to this file
# plugins = "build/plugins" # executables, a folder a tenant, each with its pin; doc/plugins.md
state   = "state"   # the host's own files: its socket, the audit log

# Where to listen. "peer" asks the kernel which account is at the other end, so only this
# machine's loopback addresses and Unix sockets can have it; "hmac" takes keys.
listener "local" {
  address  = "127.0.0.1:7766"
  identify = ["peer", "hmac"]
}
listener "socket" {
  address  = "unix:state/hearth.sock"
  identify = ["peer"]
}
# For Python programs that look names up without being told a port:
# listener "names" { address = "127.0.0.1:9090" }

# Who is who. host_user is the account that runs the host; for others of this machine write
# user = "an account" or uid = 1000. Those with keys are nobody until they have one: make it
# with `hearth key new keys/clerk.key`, or hand it out with `hearth enroll new clerk --key`.
principal "owner" { host_user = true }
principal "clerk" {
  keys   = ["keys/clerk.key"]
  tenant = "shop" # reaches no other tenant, unless a permit says crosses_tenants
}
principal "auditor" { keys = ["keys/auditor.key"] }
principal "partner" { keys = ["keys/partner.key"] }

enroll {}

group "people" { members = ["owner", "clerk", "auditor", "partner"] }

# Whose folders are served.
tenant "demo" {}
tenant "shop" {}
tenant "bank" {}

permit "the owner may call everything" {
  principals = ["owner"]
  objects    = ["*"]
  tracebacks = true # and see where in a script an error arose
}
permit "the clerk sells" {
  principals = ["clerk"]
  objects    = ["shop.till", "shop.stock"]
  methods    = ["sell", "count"]
}
permit "the auditor looks, and changes nothing" {
  principals = ["auditor"]
  objects    = ["bank.ledger", "shop.stock", "demo.counter"]
  methods    = ["count", "total", "balance", "statement"] # to set total would be "total="
}
permit "the partner asks what there is, by day" {
  principals = ["partner"]
  objects    = ["shop.stock"]
  methods    = ["count"]
  when       = time.of_day >= "06:00" && time.of_day < "22:00" # UTC; see timezone
}
limit "the partner does not ask too often" {
  principals = ["partner"]
  objects    = ["shop.*"]
  rate       = "60/m"
  burst      = 5
  concurrent = 2
}

# An object that calls others is a principal of its own, never its caller.
permit "the relay may count" {
  principals = ["object:demo.relay"]
  objects    = ["demo.counter"]
  methods    = ["add", "total"]
}
permit "the till takes from the stock" {
  principals = ["object:shop.till"]
  objects    = ["shop.stock"]
  methods    = ["take"]
}
permit "the till books with the bank" {
  principals      = ["object:shop.till"]
  objects         = ["bank.ledger"]
  methods         = ["book"]
  crosses_tenants = true # meant: the ledger belongs to another tenant
}

# A forbid beats every permit, whoever wrote it.
forbid "nobody books by hand" {
  principals = ["people"]
  objects    = ["bank.*"]
  methods    = ["book"]
}

# Every decision is written to state/audit.jsonl before it is acted on; what cannot be
# written is not done. `hearth audit tail` shows it.
audit {
  permits    = "all" # or "none", or "1/100"
  on_failure = "deny"
  rotate     = "64MiB"
  keep       = 16
}

# What must stay so. A file whose tests fail does not load.
test "the relay only counts" {
  principal = "object:demo.relay"
  call      = "demo.counter.reset"
  want      = "deny"
}
test "strangers are out" {
  principal = "anonymous"
  call      = "demo.echo.echo"
  want      = "deny"
}
test "the till books" {
  principal = "object:shop.till"
  call      = "bank.ledger.book"
  want      = "permit"
}
test "not even the owner books by hand" {
  principal = "owner"
  call      = "bank.ledger.book"
  want      = "deny"
}
test "the clerk does not see the bank" {
  principal = "clerk"
  call      = "bank.ledger.balance"
  want      = "deny"
}
test "the auditor reads the counter" {
  principal = "auditor"
  call      = "demo.counter.total"
  want      = "permit"
}
test "and does not set it" {
  principal = "auditor"
  call      = "demo.counter.total="
  want      = "deny"
}
test "the partner asks at noon" {
  principal = "partner"
  call      = "shop.stock.count"
  time      = "2027-01-31T12:00:00Z"
  want      = "permit"
}
test "the partner sleeps at night" {
  principal = "partner"
  call      = "shop.stock.count"
  time      = "2027-01-31T23:00:00Z"
  want      = "deny"
}
