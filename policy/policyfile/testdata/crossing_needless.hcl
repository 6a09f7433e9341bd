listener "local" { address = "127.0.0.1:7766" }
tenant "acme" {}
principal "carol" { uid = 1002 }
permit "needless" {
  principals      = ["carol", "object:acme.relay"]
  objects         = ["acme.status"]
  crosses_tenants = true
}
