admin { address = "localhost:9766" }
