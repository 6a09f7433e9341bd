listener "a" { address = "127.0.0.1:0" }
principal "p" { uid = 1 }
tenant "acme" {}
permit "empty" {}
permit "lists" {
  principals = "p"
  objects    = []
  methods    = [total]
  tracebacks = "yes"
}
permit "patterns" {
  principals = ["p", "object:acme.*", "object:acme", "object:other.x", 7]
  objects    = ["*", "acme", "ac*.x", "acme..x", "acme.**", "acme.a b", "Pyro.Daemon", ""]
}
permit "block" {
  principals = ["p"]
  objects    = ["acme.*"]
  methods {}
  when {}
}
