// Command hearth-worker is the worker process of a tenant: the Lua engine, the serializers and the isolation layers,
// without the rest of the host. The build embeds it into hearth, which starts it from memory: package workerfile.
package main

import (
	"os"

	"github.com/hearthhost/hearth/sandbox/worker"
)

func init() {
	setName() // init runs on the thread whose name is that of the process
}

func main() { os.Exit(worker.Program(os.Args[1:])) }
