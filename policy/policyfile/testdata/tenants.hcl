listener "local" { address = "127.0.0.1:7766" }
principal "alice" { uid = 1000 }
tenant "root" { uid = 0 }
tenant "caller" { uid = 1000 }
tenant "one" { uid = 2000 }
tenant "two" { uid = 2000 }
tenant "both" {
  uid  = 2001
  user = "nobody"
}
tenant "words" {
  isolation = "none"
  allow_missing = ["seccom", "everything"]
  colour    = "red"
  limits {
    memory    = "1MiB"
    processes = 2
    cpus      = "half"
    max_duration = "1m"
    steps     = "many"
    source    = "2MiB"
    queue     = 0
    memmory   = "1GiB"
  }
  limits {}
  object "counter" {
    limits { memory = "64" }
  }
  object "counter" {}
  object "a b" {}
  object "x" { max_duration = "1s" }
  object {}
  secrets {}
}
tenant "auto" { user = "auto" }
