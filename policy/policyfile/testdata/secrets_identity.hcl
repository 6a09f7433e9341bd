tenant "acme" {
  secret "smtp" {
    age     = "secrets/smtp.age"
    objects = ["acme.mailer"]
  }
}
