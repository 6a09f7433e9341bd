listener "local" { address = "127.0.0.1:7766" }
principal "alice" { uid = 1000 }
group "staff" { members = ["alice"] }
tenant "acme" {}
permit "no condition" {
  principals = ["alice"]
  objects    = ["acme.counter"]
  when       = caller.chanel == "tls"
}
permit "never" {
  principals = ["alice"]
  objects    = ["acme.counter"]
  when       = caller.channel == "tsl" || caller.auth == "kerberos"
}
permit "kinds" {
  principals = ["alice"]
  objects    = ["acme.counter"]
  when       = caller.uid == "1000" && caller.groups == "staff"
}
permit "a text" {
  principals = ["alice"]
  objects    = ["acme.counter"]
  when       = caller.principal
}
permit "names" {
  principals = ["alice"]
  objects    = ["acme.counter"]
  when       = contains(caller.groups, "staf") || caller.principal == "alic" || object.tenant == "acmee" || object.id == "acme" || method == "_x"
}
permit "times" {
  principals = ["alice"]
  objects    = ["acme.counter"]
  when       = time.now < "tomorrow" || time.of_day > "25:00" || contains(["monday", "mittwoch"], time.weekday)
}
permit "networks" {
  principals = ["alice"]
  objects    = ["acme.counter"]
  when       = in_network(caller.address, "10.0.0.1/8") || caller.address == "10.1" || in_network(caller.address)
}
permit "functions" {
  principals = ["alice"]
  objects    = ["acme.counter"]
  when       = file("/etc/passwd") == "x" || contain(caller.groups, "staff")
}
permit "other expressions" {
  principals = ["alice"]
  objects    = ["acme.counter"]
  when       = caller.uid + 1 == 1001 ? true : [for g in caller.groups : g] == null
}
permit "put together" {
  principals = ["alice"]
  objects    = ["acme.counter"]
  when       = caller.principal == "a${caller.tenant}" || caller.groups[0] == "x" || -caller.uid == 1
}
permit "order of texts" {
  principals = ["alice"]
  objects    = ["acme.counter"]
  when       = caller.principal < "b" && 1
}
limit "nothing" {
  principals = ["alice"]
  objects    = ["acme.*"]
}
limit "wrong" {
  principals = ["alic"]
  objects    = ["acme.*"]
  rate       = "100/d"
  concurrent = 0
}
limit "burst of nothing" {
  principals = ["alice"]
  objects    = ["acme.*"]
  burst      = 1.5
  concurrent = "2"
}
test "facts" {
  principal = "alice"
  call      = "acme.counter.add"
  want      = "deny"
  channel   = "udp"
  address   = "here"
  uid       = "1000"
  time      = "noon"
}
