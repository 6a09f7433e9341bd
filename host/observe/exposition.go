package observe

import (
	"strconv"
	"strings"

	"github.com/hearthhost/hearth/host/usage"
)

// exposition builds a text in Prometheus' exposition format 0.0.4. All samples of a family
// must be consecutive. It escapes label values, but not the fixed names and help texts.
//
// Source: prometheus.io/docs/instrumenting/exposition_formats.
type exposition struct {
	b    []byte
	name string // name of the current family
}

// The types of families.
const (
	counter   = "counter"
	gauge     = "gauge"
	histogram = "histogram"
)

// family begins a family of metrics.
func (e *exposition) family(name, kind, help string) {
	e.name = name
	e.b = append(e.b, "# HELP "+name+" "+help+"\n# TYPE "+name+" "+kind+"\n"...)
}

// count adds a sample that is a whole number. labels are names and values, in pairs.
func (e *exposition) count(n uint64, labels ...string) {
	e.key("", labels)
	e.b = append(strconv.AppendUint(e.b, n, 10), '\n')
}

// value adds a sample.
func (e *exposition) value(v float64, labels ...string) {
	e.key("", labels)
	e.b = append(strconv.AppendFloat(e.b, v, 'g', -1, 64), '\n')
}

// times adds a histogram of call durations, in seconds.
func (e *exposition) times(t *usage.Totals, labels ...string) {
	sum := uint64(0)
	for i, n := range t.Times {
		bound := "+Inf"
		if i < len(usage.TimeBounds) {
			bound = strconv.FormatFloat(usage.TimeBounds[i].Seconds(), 'g', -1, 64)
		}
		sum += n
		e.key("_bucket", append(labels[:len(labels):len(labels)], "le", bound))
		e.b = append(strconv.AppendUint(e.b, sum, 10), '\n')
	}
	e.key("_sum", labels)
	e.b = append(strconv.AppendFloat(e.b, float64(t.Nanos)/1e9, 'g', -1, 64), '\n')
	e.key("_count", labels)
	e.b = append(strconv.AppendUint(e.b, sum, 10), '\n')
}

// histogram adds the samples of a histogram without labels.
func (e *exposition) histogram(h *Histogram) {
	total := uint64(0)
	for i, n := range h.Counts {
		bound := "+Inf"
		if i < len(h.Bounds) {
			bound = strconv.FormatFloat(h.Bounds[i], 'g', -1, 64)
		}
		total += n
		e.key("_bucket", []string{"le", bound})
		e.b = append(strconv.AppendUint(e.b, total, 10), '\n')
	}
	e.key("_sum", nil)
	e.b = append(strconv.AppendFloat(e.b, h.Sum, 'g', -1, 64), '\n')
	e.key("_count", nil)
	e.b = append(strconv.AppendUint(e.b, total, 10), '\n')
}

var labelEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// key writes the name and the labels of a sample.
func (e *exposition) key(suffix string, labels []string) {
	e.b = append(e.b, e.name+suffix...)
	for i := 0; i+1 < len(labels); i += 2 {
		open := byte('{')
		if i > 0 {
			open = ','
		}
		e.b = append(e.b, open)
		e.b = append(e.b, labels[i]+`="`+labelEscapes.Replace(labels[i+1])+`"`...)
	}
	if len(labels) > 1 {
		e.b = append(e.b, '}')
	}
	e.b = append(e.b, ' ')
}
