# The policy of a packaged host: what it serves, to whom, and within which limits.
# hearth policy check says whether it holds; doc/policy.md explains it.
scripts = "/var/lib/hearth/scripts"
plugins = "/var/lib/hearth/plugins"
state   = "/var/lib/hearth/state"
uids    = "200000-265535" # for tenants with user = "auto"

listener "local" {
  address  = "127.0.0.1:7766"
  identify = ["peer", "hmac"]
}

# Who administers the machine may call everything.
principal "root" { uid = 0 }

# One block a tenant; its scripts lie in /var/lib/hearth/scripts/<tenant>.
tenant "demo" { user = "auto" }

permit "root may call everything" {
  principals = ["root"]
  objects    = ["*.*"]
  tracebacks = true
}
