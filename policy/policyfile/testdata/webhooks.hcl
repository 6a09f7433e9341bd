listener "web" {
  protocol = "http"
  address  = "127.0.0.1:8080"
}
tenant "acme" {
  secret "pay"    { file = "secrets/pay" }
  secret "unused" { file = "secrets/unused" }
}
tenant "other" {
  secret "theirs" { file = "secrets/theirs" }
}
webhook "empty" {}
webhook "a.b" {
  call   = "acme.billing.on_event"
  verify = "standard"
  secret = "pay"
}
webhook "call" {
  call   = "acme.billing"
  verify = "standard"
  secret = "pay"
}
webhook "private" {
  call   = "acme.billing._event"
  verify = "standard"
  secret = "pay"
}
webhook "tenant" {
  call   = "nowhere.billing.on_event"
  verify = "standard"
  secret = "pay"
}
webhook "theirs" {
  call   = "acme.billing.on_event"
  verify = "standard"
  secret = ["theirs"]
}
webhook "scheme" {
  call   = "acme.billing.on_event"
  verify = "strip"
  secret = "pay"
}
webhook "header" {
  call   = "acme.billing.on_event"
  verify = "hmac"
  secret = "pay"
}
webhook "names" {
  call      = "acme.billing.on_event"
  verify    = "hmac"
  secret    = "pay"
  header    = "X Sum"
  id_header = ""
  tolerance = "5m"
}
webhook "settings" {
  call      = "acme.billing.on_event"
  verify    = "stripe"
  secret    = []
  header    = "X-Sum"
  id_header = "X-Event"
  tolerance = "2h"
  replay    = "5m"
  body      = "9MiB"
}
webhook "short" {
  call      = "acme.billing.on_event"
  verify    = "stripe"
  secret    = 7
  replay    = "9m"
  path      = "/hooks"
}
principal "webhook:other" { host_user = true }
permit "unknown" {
  principals = ["webhook:missing", "webhook:shorty"]
  objects    = ["acme.billing"]
}
