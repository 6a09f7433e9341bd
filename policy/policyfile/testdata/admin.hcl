listener "a" { address = "127.0.0.1:7766" }
admin "name" {
  address = "0.0.0.0:9766"
  port    = 9766
}
admin {}
