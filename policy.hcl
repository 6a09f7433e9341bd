# Who may call what on this host. Everything that no permit allows is denied.
# doc/policy.md explains each block; `hearth serve --check` checks a changed file.

scripts = "scripts" # a folder a tenant; relative to this file
state   = "state"   # the host's own files

# Where to listen. "peer" asks the kernel which account is at the other end, so only
# this machine's loopback addresses and Unix sockets can be given.
listener "local" {
  address  = "127.0.0.1:7766"
  identify = ["peer"]
}
listener "socket" {
  address  = "unix:state/hearth.sock"
  identify = ["peer"]
}
# For Python programs that look names up without being told a port:
# listener "names" { address = "127.0.0.1:9090" }

# Who is who. host_user is the account that runs the host; for others write
# user = "an account" or uid = 1000.
principal "owner" { host_user = true }

# Whose folders are served.
tenant "demo" {}

permit "the owner may call the demo" {
  principals = ["owner"]
  objects    = ["demo.*"]
  tracebacks = true # and see where in a script an error arose
}

# An object that calls others is a principal of its own, never its caller.
permit "the relay may count" {
  principals = ["object:demo.relay"]
  objects    = ["demo.counter"]
  methods    = ["add", "total"]
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
