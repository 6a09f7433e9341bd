listener "local" { address = "127.0.0.1:7766" }
principal "alice" { uid = 1000 }
group "staff" { members = ["alice"] }
tenant "acme" {}
permit "alice" {
  principals = ["alice"]
  objects    = ["acme.counter"]
}
test "a group" {
  principal = "staff"
  call      = "acme.counter.add"
  want      = "permit"
}
test "no method" {
  principal = "alice"
  call      = "acme.counter"
  want      = "permit"
}
test "no call" {
  principal = "alice"
  call      = "counter"
  want      = "permit"
}
test "no decision" {
  principal = "alice"
  call      = "acme.counter.add"
  want      = "allow"
}
test "nothing" {}
test "nothing" {}
