trace "name" {
  endpoint = "http://192.0.2.1:4318"
  traces   = "some"
  colour   = "red"
}
trace { endpoint = "http://127.0.0.1:4318" }
