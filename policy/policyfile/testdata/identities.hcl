listener "wan" {
  address = "0.0.0.0:7767"
}
listener "peer" {
  address  = "192.0.2.1:1"
  identify = ["peer"]
}
listener "nothing" {
  address  = "192.0.2.1:2"
  identify = ["pyro4-hmac"]
}
listener "two" {
  address  = "192.0.2.1:3"
  identify = ["cert"]
  tls {
    cert        = "host.pem"
    key         = ""
    client_ca   = ["one.pem", "two.pem"]
    min_version = "1.1"
  }
  tls "x" {
    cert    = "host.pem"
    key     = "host.key"
    revoked = "revoked"
  }
  tsl {}
}
listener "authorities" {
  address  = "192.0.2.1:4"
  identify = ["cert"]
  tls {
    cert      = "host.pem"
    key       = "host.key"
    client_ca = ["one.pem", "two.pem"]
  }
}
principal "nobody" {}
principal "unnamed" {
  cert {
    common_name = "x"
  }
}
principal "elsewhere" {
  cert {
    ca  = "three.pem"
    dns = "x"
  }
}
principal "any" {
  cert {
    ca = "one.pem"
  }
  cert "labelled" {
    ca     = "one.pem"
    sha256 = "abc"
    serial = "xyz"
    uri    = ""
  }
}
principal "alice" {
  keys       = ["alice.key"]
  pyro4_keys = ["alice.key", "shared.key"]
}
principal "bob" {
  keys = ["shared.key", ""]
  key  = "bob.key"
}
