package admin

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/hearthhost/hearth/host/backend"
	"github.com/hearthhost/hearth/host/observe"
	"github.com/hearthhost/hearth/internal/cli/display"
)

// PrintWorkers prints the host's workers and plugins whose names begin with prefix.
func (a *Socket) PrintWorkers(ctx context.Context, out io.Writer, prefix string, asJSON bool) error {
	var s observe.Status
	if err := a.request(ctx, http.MethodGet, "/v1/status", &s); err != nil {
		return err
	}
	s.Workers = slices.DeleteFunc(s.Workers, func(w backend.WorkerStatus) bool {
		return !strings.HasPrefix(w.Name, prefix)
	})
	if asJSON {
		return display.JSON(out, s.Workers)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, p := range s.Workers {
		pid := ""
		if p.PID != 0 {
			pid = "\tpid " + strconv.Itoa(p.PID)
		}
		fmt.Fprintf(w, "%s\t%s\t%s%s\n", display.Quote(p.Name), display.Quote(p.Kind), display.Quote(p.State), pid)
		if p.State == backend.StateRefused {
			fmt.Fprintf(w, "\t%s\n", display.Inline(p.Cause))
		} else if p.Crashes > 0 {
			again := ""
			if !p.Retry.IsZero() {
				again = ", started again after " + p.Retry.Local().Format(time.TimeOnly)
			}
			crashes := display.Plurals(p.Crashes, "crash", "crashes")
			fmt.Fprintf(w, "\t%s in a row%s: %s\n", crashes, again, display.Inline(p.Cause))
		}
	}
	return w.Flush()
}
