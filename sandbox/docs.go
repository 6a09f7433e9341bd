package sandbox

import (
	"regexp"
	"strings"
)

var memberRE = regexp.MustCompile(`^\s*function\s+[A-Za-z_]\w*\.(expose|oneway|get|set)[.:]([A-Za-z]\w*)`)

// readDocs returns the comment right above each exposed function, by "section.name".
func readDocs(src []byte) map[string]string {
	docs := map[string]string{}
	var comment []string
	for line := range strings.Lines(string(src)) {
		text := strings.TrimSpace(line)
		if c, ok := strings.CutPrefix(text, "--"); ok && !strings.HasPrefix(c, "[") {
			comment = append(comment, strings.TrimSpace(strings.TrimLeft(c, "-")))
			continue
		}
		if m := memberRE.FindStringSubmatch(line); m != nil && len(comment) > 0 {
			docs[m[1]+"."+m[2]] = strings.Join(comment, "\n")
		}
		comment = nil
	}
	return docs
}
