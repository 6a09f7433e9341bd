//go:build embedworker && linux

package workerfile

import _ "embed" // for image

//go:embed hearth-worker
var image string
