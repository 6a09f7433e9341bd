listener "local" { address = "127.0.0.1:7766" }
principal "alice" { uid = 1000 }
group "staff" { members = ["alice"] }
tenant "acme" {}
permit "alice" {
  principals = ["alice"]
  objects    = ["acme.counter"]
}
test "fails first" {
  principal = "alice"
  call      = "acme.counter.add"
  want      = "deny"
}
test "passes" {
  principal = "alice"
  call      = "acme.counter.add"
  want      = "permit"
}
test "fails next" {
  principal = "anonymous"
  call      = "acme.counter.add"
  want      = "permit"
}
