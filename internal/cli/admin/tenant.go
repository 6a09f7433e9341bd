package admin

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hearthhost/hearth/host/usage"
	"github.com/hearthhost/hearth/internal/bytesize"
	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/cli/display"
)

func newTenant() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tenant",
		Short: "Show the resource usage of tenants",
		Long: `Show the resource usage of the tenants of a running host. The commands use the admin socket in its
state folder, which accepts the host's user and root.`,
		Example: `  hearth tenant usage
  hearth tenant usage acme`,
		Args: cli.NoSuchCommand,
		RunE: cli.Help,
	}
	cmd.AddCommand(newTenantUsage())
	return cmd
}

func newTenantUsage() *cobra.Command {
	var socket Socket
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "usage [TENANT]",
		Short: "Show the usage of tenants since the start of the host",
		Long: `Show the usage of each tenant since the start of the host: calls, errors, denials, bytes, steps of
scripts, processor time and memory of its workers and plugins. With TENANT, show one
tenant with its objects. Workers count steps, the kernel measures time and memory.`,
		Example: `  hearth tenant usage
  hearth tenant usage acme
  hearth tenant usage --json --policy /etc/hearth/policy.hcl`,
		Args: cli.AtMostOne("TENANT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			what, one := "/v1/usage", len(args) == 1 && args[0] != ""
			if one {
				what += "?tenant=" + url.QueryEscape(args[0])
			}
			var u usage.Usage
			if err := socket.request(cmd.Context(), http.MethodGet, what, &u); err != nil {
				return err
			}
			switch {
			case asJSON:
				return display.JSON(cmd.OutOrStdout(), u)
			case one && len(u.Tenants) == 1:
				return printTenant(cmd.OutOrStdout(), u.Since, &u.Tenants[0])
			}
			return printUsage(cmd.OutOrStdout(), &u)
		},
	}
	socket.AddFlags(cmd)
	cli.JSONFlag(cmd, &asJSON)
	return cmd
}

// printUsage prints a line for each tenant.
func printUsage(out io.Writer, u *usage.Usage) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TENANT\tCALLS\tFAILED\tDENIED\tIN\tOUT\tSTEPS\tCPU\tMEMORY\tPEAK\tRUNNING\tCRASHES")
	for _, t := range u.Tenants {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%s\t%s\t%d\t%s\t%s\t%s\t%d\t%d\n",
			display.Quote(string(t.Tenant)), t.Calls.Calls, failed(t.Errors), t.Denied+t.Limited,
			bytesize.Text(t.BytesIn), bytesize.Text(t.BytesOut), t.Steps, seconds(t.CPUSeconds),
			bytesize.Text(t.MemoryBytes), bytesize.Text(t.PeakBytes), t.Processes, t.Crashes)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	since := "since " + u.Since.Format(time.RFC3339)
	if u.Elsewhere > 0 {
		since += "; denied for unknown tenants: " + strconv.FormatUint(u.Elsewhere, 10)
	}
	_, err := fmt.Fprintln(out, since)
	return err
}

// printTenant prints a tenant and its objects.
func printTenant(out io.Writer, since time.Time, t *usage.TenantUsage) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s since %s\n", display.Quote(string(t.Tenant)), since.Format(time.RFC3339))
	fmt.Fprintf(w, "  calls\t%d, and %d in flight%s\n", t.Calls.Calls, t.InFlight, mean(t.Calls))
	var errs []string
	for _, code := range slices.Sorted(maps.Keys(t.Errors)) {
		errs = append(errs, fmt.Sprintf("%d %s", t.Errors[code], display.Escape(code)))
	}
	if errs == nil {
		errs = []string{"none"}
	}
	fmt.Fprintf(w, "  failed\t%s\n", strings.Join(errs, ", "))
	fmt.Fprintf(w, "  denied\t%d by the policy, %d by its limits\n", t.Denied, t.Limited)
	fmt.Fprintf(w, "  bytes\t%s in, %s out\n", bytesize.Text(t.BytesIn), bytesize.Text(t.BytesOut))
	fmt.Fprintf(w, "  steps\t%d\n", t.Steps)
	fmt.Fprintf(w, "  cpu\t%s\n", seconds(t.CPUSeconds))
	fmt.Fprintf(w, "  memory\t%s now, peak %s in one process\n",
		bytesize.Text(t.MemoryBytes), bytesize.Text(t.PeakBytes))
	if t.StoreBytes > 0 {
		fmt.Fprintf(w, "  store\t%s on disk\n", bytesize.Text(t.StoreBytes))
	}
	fmt.Fprintf(w, "  processes\t%d running, %s, %s\n",
		t.Processes, display.Plural(t.Starts, "start"), display.Plurals(t.Crashes, "crash", "crashes"))
	fmt.Fprintf(w, "  log\t%s dropped\n", display.Plural(t.LogDropped, "line"))
	if t.StatesLost > 0 {
		fmt.Fprintf(w, "  states\t%d lost by limits\n", t.StatesLost)
	}
	if len(t.Objects) > 0 {
		fmt.Fprintln(w, "\nOBJECT\tCALLS\tFAILED\tIN\tOUT\tSTEPS\tTIME")
	}
	for _, o := range t.Objects {
		name := string(o.ID)
		if name == "" {
			name = "(others)"
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\t%d\t%s\n",
			display.Quote(name), o.Calls.Calls, failed(o.Errors),
			bytesize.Text(o.BytesIn), bytesize.Text(o.BytesOut), o.Steps, seconds(o.Seconds))
	}
	return w.Flush()
}

// mean returns the mean time of calls, "" without calls.
func mean(c usage.Calls) string {
	if c.Calls == 0 {
		return ""
	}
	return "; " + seconds(c.Seconds/float64(c.Calls)) + " each"
}

func failed(errors map[string]uint64) uint64 {
	sum := uint64(0)
	for _, n := range errors {
		sum += n
	}
	return sum
}

// seconds formats a number of seconds.
func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}
