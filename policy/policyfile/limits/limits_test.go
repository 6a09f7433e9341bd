package limits_test

import (
	"strings"
	"testing"

	"github.com/hearthhost/hearth/policy/policytest"
)

// TestLimitsTogether checks the warnings about inconsistent limits and their lines, and that consistent limits cause
// none.
func TestLimitsTogether(t *testing.T) {
	for name, tc := range map[string]struct {
		body string // of a tenant
		want string // how the one warning begins, behind "policy.hcl:<line of the body>:"; "": no warning
		line int
	}{
		"nothing": {"", "", 0},
		"worker's memory alone": {
			"limits {\n memory = \"128MiB\"\n}",
			`tenant "red": an instance may use 64MiB, but all instances of its worker together 48MiB, three ` +
				`eighths of 128MiB`, 2,
		},
		"object_memory": {
			"limits {\n object_memory = \"193MiB\"\n}",
			`tenant "red": an instance may use 193MiB, but all instances of its worker together 192MiB`, 2,
		},
		"an object's memory": {
			"limits {\n memory = \"64MiB\"\n object_memory = \"8MiB\"\n}\nobject \"a\" {\n limits {\n memory = " +
				"\"25MiB\"\n }\n}",
			`object "red.a": an instance may use 25MiB`, 7,
		},
		"memory that fits": {"limits {\n memory = \"128MiB\"\n object_memory = \"48MiB\"\n}", "", 0},
		"defaults of many": {"limits {\n object_memory = \"64MiB\"\n}", "", 0},
		"sessions": {
			"limits {\n sessions = 4\n}",
			`tenant "red": sessions = 4: 4 instances of 64MiB each exceed the 192MiB`, 2,
		},
		"sessions of an object": {
			"object \"a\" {\n limits {\n sessions = 200\n memory = \"1MiB\"\n }\n}",
			`object "red.a": sessions = 200: 200 instances of 1MiB`, 3,
		},
		"a tenant's sessions": {
			"limits {\n sessions = 4\n object_memory = \"8MiB\"\n}\nobject \"a\" {\n limits {\n memory = " +
				"\"49MiB\"\n }\n}",
			`object "red.a": sessions = 4: 4 instances of 49MiB`, 7,
		},
		"sessions that fit": {"limits {\n sessions = 3\n}", "", 0},
		"instances": {
			"limits {\n instances = 1000\n object_memory = \"1MiB\"\n}",
			`tenant "red": instances = 1000: 1000 instances of 1MiB each exceed the 192MiB that all instances of a ` +
				`worker share`, 2,
		},
		"small instances": {
			"object \"a\" {\n limits {\n instances = 20000\n memory = \"1MiB\"\n }\n}",
			`object "red.a": instances = 20000: even with little state 20000 instances take 332MiB, but all ` +
				`instances of its worker together have 192MiB, three eighths of 512MiB`, 3,
		},
		"a tenant's instances": {
			"limits {\n memory = \"64MiB\"\n object_memory = \"1MiB\"\n instances = 10000\n}",
			`tenant "red": instances = 10000: even with little state 10000 instances take 166MiB, but all ` +
				`instances of its worker together have 24MiB, three eighths of 64MiB`, 4,
		},
		"instances that fit":   {"limits {\n instances = 3\n}", "", 0},
		"instances by default": {"limits {\n memory = \"64MiB\"\n object_memory = \"8MiB\"\n}", "", 0},
		"parallel": {
			"limits {\n parallel = 10\n object_memory = \"20MiB\"\n}",
			`tenant "red": parallel = 10: 10 calls at a time of 20MiB each`, 2,
		},
		"arguments": {
			"object \"a\" {\n limits {\n arguments = \"2MiB\"\n memory = \"1MiB\"\n }\n}",
			`object "red.a": arguments of 2MiB exceed the memory of an instance, 1MiB`, 3,
		},
		"a tenant's result": {
			"limits {\n result = \"2MiB\"\n}\nobject \"a\" {\n limits {\n memory = \"1MiB\"\n }\n}",
			`object "red.a": result of 2MiB exceed the memory of an instance`, 6,
		},
		"arguments and a worker": {
			"limits {\n memory = \"64MiB\"\n object_memory = \"24MiB\"\n arguments = \"17MiB\"\n}",
			`tenant "red": arguments of 17MiB: all of a worker of 64MiB together have 16MiB`, 4,
		},
		"a result and a worker": {
			"limits {\n memory = \"64MiB\"\n object_memory = \"24MiB\"\n result = \"9MiB\"\n}",
			`tenant "red": result of 9MiB: all of a worker of 64MiB together have 8MiB`, 4,
		},
		"messages that fit": {
			"limits {\n memory = \"128MiB\"\n object_memory = \"32MiB\"\n arguments = \"32MiB\"\n result = " +
				"\"16MiB\"\n}",
			"", 0,
		},
		"steps": {
			"limits {\n steps = 300000000\n}",
			`tenant "red": 300000000 steps take about 6s, but max_duration ends a call after 5s`, 2,
		},
		"steps and cpus": {
			"limits {\n steps = 50000000\n cpus = 0.1\n}",
			`tenant "red": 50000000 steps take about 10s with cpus = 0.1`, 2,
		},
		"max_duration of an object": {
			"limits {\n steps = 50000000\n}\nobject \"a\" {\n limits {\n max_duration = \"500ms\"\n }\n}",
			`object "red.a": 50000000 steps take about 1s, but max_duration ends a call after 500ms`, 6,
		},
		"steps that fit":     {"limits {\n steps = 100000000\n cpus = 0.5\n}", "", 0},
		"max_duration alone": {"limits {\n max_duration = \"10ms\"\n}", "", 0},
		"cpus": {
			"limits {\n cpus = 2\n}",
			`tenant "red": cpus = 2, but a worker runs scripts on one processor`, 2,
		},
		"cpus of a plugin": {"limits {\n cpus = 2\n}\nplugin \"p\" { unpinned = true }", "", 0},
		"tmp of a plugin": {
			"limits {\n memory = \"256MiB\"\n}\nplugin \"p\" {\n unpinned = true\n tmp = \"256MiB\"\n}",
			`plugin "red.p": files in /tmp count as its memory: 256MiB are not below its limit of 256MiB`, 6,
		},
		"tmp that fits": {
			"limits {\n memory = \"256MiB\"\n}\nplugin \"p\" {\n unpinned = true\n tmp = \"64MiB\"\n}",
			"", 0,
		},
		"objects together": {
			"limits {\n object_memory = \"100MiB\"\n}\nobject \"a\" {\n limits {}\n}\nobject \"b\" {\n limits {}\n}",
			`tenant "red": one instance of each object block may use 200MiB together, ` +
				`but all instances of its worker 192MiB`, 0,
		},
		"a worker for each": {
			"isolation = \"object\"\nlimits {\n object_memory = \"100MiB\"\n}\nobject \"a\" {\n limits {}\n}\n" +
				"object \"b\" {\n limits {}\n}",
			"", 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			const before = policytest.Head + "tenant \"red\" {\n"
			p := policytest.Parse(t, before+tc.body+"\n}\n")
			got := p.Warnings.Error()
			if tc.want == "" {
				if got != "" {
					t.Errorf("warnings: %s", got)
				}
				return
			}
			line := strings.Count(before, "\n") + tc.line
			if len(p.Warnings) != 1 {
				t.Fatalf("warnings: %s\nwant one: %s", got, tc.want)
			}
			if w := p.Warnings[0]; w.Line != line || !strings.HasPrefix(w.Message, tc.want) || w.Hint == "" {
				t.Errorf("warnings: %s\nwant one of line %d: %s", got, line, tc.want)
			}
		})
	}
}
