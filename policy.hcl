# The access policy of this host. A call without a permit is denied.
# doc/policy.md explains each block and has more examples. `hearth policy check` validates a changed file.
# `hearth policy explain clerk shop.till.sell` shows the decision on a call and its reason.

scripts = "scripts" # one folder per tenant; relative to this file
# plugins = "build/plugins" # executables, one folder per tenant, each pinned; doc/plugins.md
state   = "state"   # the host's files: its socket, the audit log

# Listeners. With "peer" the kernel identifies the connecting account, which works only for loopback addresses and Unix
# sockets of this machine. "hmac" accepts keys.
listener "local" {
  address  = "127.0.0.1:7766"
  identify = ["peer", "hmac"]
}
listener "socket" {
  address  = "unix:state/hearth.sock"
  identify = ["peer"]
}
# For Python programs that use the name server on its default port:
# listener "names" { address = "127.0.0.1:9090" }

# Principals. host_user is the account that runs the host. For other accounts of this machine write user = "name" or
# uid = 1000. A principal with keys cannot call until its key file exists: make one with
# `hearth key new keys/clerk.key`, or issue one with `hearth enroll new clerk --key`.
principal "owner" { host_user = true }
principal "clerk" {
  keys   = ["keys/clerk.key"]
  tenant = "shop" # reaches no other tenant, unless a permit says crosses_tenants
}
principal "auditor" { keys = ["keys/auditor.key"] }
principal "partner" { keys = ["keys/partner.key"] }

enroll {}

group "people" { members = ["owner", "clerk", "auditor", "partner"] }

# Tenants: the host serves their folders.
tenant "demo" {}
tenant "shop" {}
tenant "bank" {}

permit "the owner may call everything" {
  principals = ["owner"]
  objects    = ["*"]
  tracebacks = true # errors include the position in the script
}
permit "the clerk sells" {
  principals = ["clerk"]
  objects    = ["shop.till", "shop.stock"]
  methods    = ["sell", "count"]
}
permit "the auditor reads" {
  principals = ["auditor"]
  objects    = ["bank.ledger", "shop.stock", "demo.counter"]
  methods    = ["count", "total", "balance", "statement"] # to set total would be "total="
}
permit "the partner counts the stock during the day" {
  principals = ["partner"]
  objects    = ["shop.stock"]
  methods    = ["count"]
  when       = time.of_day >= "06:00" && time.of_day < "22:00" # UTC; see timezone
}
limit "calls of the partner" {
  principals = ["partner"]
  objects    = ["shop.*"]
  rate       = "60/m"
  burst      = 5
  concurrent = 2
}

# An object that calls others is a separate principal. It never has the rights of its caller.
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
  crosses_tenants = true # required: the ledger belongs to another tenant
}

# A forbid overrides every permit.
forbid "no booking by hand" {
  principals = ["people"]
  objects    = ["bank.*"]
  methods    = ["book"]
}

# Every decision is written to state/audit.jsonl before it takes effect. A decision that cannot be written is not
# carried out. `hearth audit tail` shows the log.
audit {
  permits    = "all" # or "none", or "1/100"
  on_failure = "deny"
  rotate     = "64MiB"
  keep       = 16
}

# Tests of this policy. A file with a failing test does not load.
test "the relay only counts" {
  principal = "object:demo.relay"
  call      = "demo.counter.reset"
  want      = "deny"
}
test "unauthenticated callers are denied" {
  principal = "anonymous"
  call      = "demo.echo.echo"
  want      = "deny"
}
test "the till books" {
  principal = "object:shop.till"
  call      = "bank.ledger.book"
  want      = "permit"
}
test "the owner cannot book by hand" {
  principal = "owner"
  call      = "bank.ledger.book"
  want      = "deny"
}
test "the clerk cannot reach the bank" {
  principal = "clerk"
  call      = "bank.ledger.balance"
  want      = "deny"
}
test "the auditor reads the counter" {
  principal = "auditor"
  call      = "demo.counter.total"
  want      = "permit"
}
test "the auditor cannot set the counter" {
  principal = "auditor"
  call      = "demo.counter.total="
  want      = "deny"
}
test "the partner may count at noon" {
  principal = "partner"
  call      = "shop.stock.count"
  time      = "2027-01-31T12:00:00Z"
  want      = "permit"
}
test "the partner is denied at night" {
  principal = "partner"
  call      = "shop.stock.count"
  time      = "2027-01-31T23:00:00Z"
  want      = "deny"
}
