listener "a" { address = "127.0.0.1:0" }
listener "a" { address = "127.0.0.1:0" }
principal "p" { uid = 1 }
principal "p" { uid = 2 }
tenant "acme" {}
tenant "acme" {}
tenant "Pyro" {}
tenant {}
permit "x" {
  principals = ["p", "p"]
  objects    = ["acme.*"]
}
permit "x" {
  principals = ["p"]
  objects    = ["acme.*"]
}
