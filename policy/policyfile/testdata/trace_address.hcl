trace { endpoint = "https://127.0.0.1:4318/v1/traces" }
