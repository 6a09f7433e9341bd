listener "l" { address = "127.0.0.1:7766" }
principal "alice" { uid = 1001 }
tenant "red" {
  weaken = ["seccomp",
    "cgroup"]
  limits { wall = "2s" }
  object "x" {
    limits { wall = "500ms" }
  }
}
permit "p" {
  principals = ["alice"]
  objects    = ["red.*"]
  when       = caller.way == "cert"
}
test "t" {
  principal = "alice"
  call      = "red.x.get"
  want      = "permit"
  way       = "cert"
}
