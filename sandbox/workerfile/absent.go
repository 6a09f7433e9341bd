//go:build !(embedworker && linux)

package workerfile

const image = ""
