identity = "keys/host.age"
principal "alice" {
  keys = ["keys/alice.key"]
}
tenant "acme" {
  secret "smtp" {
    file    = "secrets/smtp"
    objects = ["acme.mailer", "acme.mailer"]
  }
  secret "smtp" {
    file    = "secrets/smtp2"
    objects = ["acme.mailer"]
  }
  secret "same file" {
    file    = "secrets/x"
    objects = ["acme.mailer"]
  }
  secret "path" {
    age     = "secrets/../secrets/smtp"
    objects = ["acme.mailer"]
  }
  secret "both" {
    file    = "secrets/both"
    age     = "secrets/both.age"
    objects = ["acme.mailer"]
  }
  secret "none" {
    objects = ["acme.mailer"]
  }
  secret "nobody" {
    file = "secrets/nobody"
  }
  secret "empty" {
    file    = ""
    objects = []
  }
  secret "foreign" {
    file    = "secrets/foreign"
    objects = ["other.thing", "nowhere.thing", "Pyro.Daemon", "acme", "acme.*"]
  }
  secret "identity" {
    file    = "keys/host.age"
    objects = ["acme.mailer"]
  }
  secret "key" {
    file    = "keys/alice.key"
    objects = ["acme.mailer"]
  }
  secret "typo" {
    fiel    = "secrets/typo"
    value   = "hunter22"
    objects = ["acme.mailer"]
    block {}
  }
  secret {
    file    = "secrets/y"
    objects = ["acme.mailer"]
  }
  secrets "z" {}
}
tenant "other" {
  secret "smtp" {
    file    = "secrets/smtp"
    objects = ["other.thing"]
  }
}
