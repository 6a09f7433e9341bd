listener "local" { address = "127.0.0.1:7766" }
principal "alice" { uid = 1000 }
tenant "acme" {}
group "alice" { members = ["alice"] }
group "anonymous" { members = ["alice"] }
group "a/b" { members = ["alice"] }
group "self" { members = ["self"] }
group "one" { members = ["two", "alice"] }
group "two" { members = ["one"] }
group "empty" { members = [] }
group "unknown" { members = ["alcie", "object:acme", "object:nowhere.x", "sta"] }
group "staff" { members = ["alice", "alice"] }
forbid "nobody" {
  objects = ["acme.*"]
}
forbid "traces" {
  principals = ["staff", "stuff"]
  objects    = ["acme.*", "acne.*"]
  methods    = []
  tracebacks = true
}
forbid "traces" {
  principals = ["staff"]
  objects    = ["acme.*"]
}
