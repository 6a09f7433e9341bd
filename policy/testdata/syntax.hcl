scripts = "scripts"
listener "local {
