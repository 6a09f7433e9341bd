admin { address = "unix:state/other.sock" }
