listener "local" { address = "127.0.0.1:7766" }
tenant "acme" {}
tenant "other" {}
principal "alice" {
  uid    = 1000
  tenant = "acme"
}
principal "lost" {
  uid    = 1001
  tenant = "acne"
}
principal "carol" { uid = 1002 }
group "all" { members = ["alice", "carol"] }
permit "own" {
  principals = ["alice", "object:acme.relay"]
  objects    = ["acme.*"]
}
permit "of others" {
  principals = ["carol", "all"]
  objects    = ["acme.x", "other.x"]
}
permit "everything" {
  principals = ["alice"]
  objects    = ["*"]
}
permit "an object" {
  principals = ["object:acme.relay"]
  objects    = ["other.status"]
}
permit "meant" {
  principals      = ["object:acme.relay", "alice"]
  objects         = ["other.status"]
  crosses_tenants = true
}
