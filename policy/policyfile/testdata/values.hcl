scripts = 7
state   = "${home}/state"
listener "a" { address = "0.0.0.0:7766" }
listener "b" { address = "localhost:7766" }
listener "c" { address = "unix:" }
listener "d" {
  address  = "127.0.0.1:1"
  identify = []
}
listener "e" { address = "127.0.0.1:1" }
principal "anonymous" { uid = 1 }
principal "object:acme.x" { uid = 2 }
principal "two words" { uid = 3 }
principal "alice" { user = "alice" }
principal "twin" { uid = 1000 }
principal "ghost" { user = "ghost" }
principal "large" { uid = 4294967295 }
principal "text" { uid = "1" }
principal "no" { host_user = false }
principal "none" {}
