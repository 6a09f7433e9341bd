plugins = 7
listener "local" { address = "127.0.0.1:7766" }
tenant "acme" {
  plugin "resize" {}
  plugin "short" { sha256 = "abc" }
  plugin "both" {
    sha256   = "0000000000000000000000000000000000000000000000000000000000000000"
    unpinned = true
  }
  plugin "off" { unpinned = false }
  plugin "text" { unpinned = "yes" }
  plugin "a.b" { unpinned = true }
  plugin {}
  plugin "twice" { unpinned = true }
  plugin "twice" { unpinned = true }
  plugin "parts" {
    unpinned = true
    objects  = ["circle", "a b", "circle"]
    sha      = "x"
    limits {}
  }
  plugin "none" {
    unpinned = true
    objects  = []
  }
  plugin "free" {
    unpinned   = true
    unconfined = true
    runtime    = ["/usr"]
    fork       = true
  }
  plugin "sees" {
    unpinned   = true
    unconfined = "yes"
    runtime    = ["usr", "/usr/../etc", "/", "/base"]
    files      = ["/base/state/x", "/base/scripts", "/base/data", "/proc/1", "/base/scripts/other"]
    tmp        = "much"
    fork       = 1
  }
  plugim "x" {}
}
