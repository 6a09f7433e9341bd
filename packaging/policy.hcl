# The policy of a packaged host: objects, callers and limits.
# hearth policy check validates it; doc/policy.md explains it.
scripts = "/var/lib/hearth/scripts"
plugins = "/var/lib/hearth/plugins"
state   = "/var/lib/hearth/state"
uids    = "200000-265535" # for tenants with user = "auto"

listener "local" {
  address  = "127.0.0.1:7766"
  identify = ["peer", "hmac"]
}

# The machine's administrator may call everything.
principal "root" { uid = 0 }

# One block per tenant. Its scripts are in /var/lib/hearth/scripts/<tenant>.
tenant "demo" { user = "auto" }

permit "root may call everything" {
  principals = ["root"]
  objects    = ["*.*"]
  tracebacks = true
}
