script = "scripts"
colour = "blue"

listner "local" {
  address = "127.0.0.1:7766"
}
listener "local" {
  adress   = "127.0.0.1:7766"
  identify = ["peer", "hmac", "cert"]
}
group "staff" {}
principal "alice" {
  usr = "alice"
}
principal "bob" {
  user = "bob"
  uid  = 1001
}
tenant "acme" {}
permit "typos" {
  principals = ["alcie", "mallory", "anonymus"]
  objekts    = ["acme.*"]
  objects    = ["amce.counter", "elsewhere.*"]
  methods    = ["total", "_private", "a.b", "*"]
}
