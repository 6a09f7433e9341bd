package plugins

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins/binary"
	"github.com/hearthhost/hearth/plugins/rpc"
)

// TestDescriptionFlood: the objects that the policy lists bound the work and the log lines of a plugin's description. A
// plugin with more objects is rejected.
func TestDescriptionFlood(t *testing.T) {
	t.Parallel()
	objects := func(n int, name func(int) string) *rpc.DescribeReply {
		r := &rpc.DescribeReply{Objects: []*rpc.Object{{Instance: string(object.PerCall)}}}
		for i := range n {
			r.Objects = append(r.Objects, &rpc.Object{Name: name(i), Instance: string(object.PerCall)})
		}
		return r
	}
	other := func(i int) string { return fmt.Sprint("o", i) }
	for _, tc := range []struct {
		reply *rpc.DescribeReply
		want  string
		lines int
	}{
		{objects(0, other), "", 0},
		{objects(maxObjects-1, other), "", 1},
		{objects(maxObjects, other), "it has 1001 objects; the limit is 1000", 0},
		{objects(500_000, func(int) string { return "" }), "it has 500001 objects; the limit is 1000", 0},
		{objects(2, func(int) string { return "" }), "it has two objects acme.tool", 0},
	} {
		var log bytes.Buffer
		pr := &process{p: &Plugin{cfg: Config{
			ID:      "acme.tool",
			Objects: []object.ID{"acme.tool"},
			Log:     slog.New(slog.NewTextHandler(&log, nil)),
		}}}
		err := pr.describe(tc.reply)
		var why *binary.StartError
		if (err == nil) != (tc.want == "") ||
			err != nil && (!errors.As(err, &why) || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%d objects: %v, want %q", len(tc.reply.Objects), err, tc.want)
		}
		if n := strings.Count(log.String(), "\n"); n != tc.lines {
			t.Errorf("%d objects: %d lines in the log, want %d", len(tc.reply.Objects), n, tc.lines)
		}
	}
}
