scripts = "ÿ"
