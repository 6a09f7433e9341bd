principal "alice" { uid = 1000 }
tenant "acme" {}

listener "two" {
  protocol = "http"
  address  = "127.0.0.1:1"
  mcp      = true
  mcp {}
}
listener "pyro" {
  address = "127.0.0.1:2"
  mcp {
    expose = ["acme.*"]
  }
}
listener "values" {
  protocol = "http"
  address  = "127.0.0.1:3"
  mcp {
    expose = ["acme.cart:alice", "a b", "acme.*"]
    origin = "http://hearth.example.org"
  }
}
listener "none" {
  protocol = "http"
  address  = "127.0.0.1:4"
  mcp "named" {
    expose = []
    tools  = 3
  }
}
