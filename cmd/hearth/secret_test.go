package main_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const secretPolicy = `
scripts = "scripts"
state   = "state"
listener "socket" { address = "unix:hearth.sock" }
principal "me" { uid = %d }
tenant "vault" {
  secret "smtp" {
    file    = "secrets/smtp"
    objects = ["vault.mailer"]
  }
  secret "other" {
    file    = "secrets/other"
    objects = ["vault.neighbour"]
  }
}
tenant "other" {}
permit "me" {
  principals = ["me"]
  objects    = ["vault.*", "other.*"]
  tracebacks = true
}
`

// mailer is granted the secret, and gives it away in every way that a script may have
// by mistake.
const mailer = `
local peek = require "peek"
local M = hearth.object { doc = "Knows " .. hearth.secret("smtp"), instance = "single" }
function M:init() self.held = hearth.secret("smtp") end
function M.expose:value() return hearth.secret("smtp") end
function M.expose:bylib() return peek("smtp") end
function M.expose:log()
  local s = hearth.secret("smtp")
  hearth.log.info("plain " .. s)
  hearth.log.debug(s, s, { s })
  hearth.log.error(string.rep("x", 8180) .. s)
  hearth.log.warn(self.held)
  print(s)
end
function M.expose:text() error("no " .. hearth.secret("smtp")) end
function M.expose:bare() error(hearth.secret("smtp"), 0) end
function M.expose:bytes() error(hearth.exception("ValueError", hearth.bytes(hearth.secret("smtp")))) end
function M.expose:args()
  local s = hearth.secret("smtp")
  error(hearth.exception("ValueError", s, { deep = { s, [s] = s } }, hearth.tuple(s)))
end
function M.expose:class() error(hearth.exception(hearth.secret("smtp"), "x")) end
function M.expose:path() return { [hearth.secret("smtp")] = print } end
function M.expose:module() require(hearth.secret("smtp") .. "/") end
function M.expose:proxy() hearth.proxy(hearth.secret("smtp")) end
function M.expose:field() local t = nil; return t[hearth.secret("smtp")] end
function M.expose:call() local t = {}; t[hearth.secret("smtp")]() end
function M.expose:arith() return hearth.secret("smtp") + {} end
function M.expose:number() return ("x"):rep(hearth.secret("smtp")) end
function M.expose:format() return string.format("%d", hearth.secret("smtp")) end
function M.expose:sort() table.sort({ hearth.secret("smtp"), 1 }) end
function M.expose:int() return hearth.int(hearth.secret("smtp")) end
function M.expose:typed() return hearth.date(hearth.secret("smtp")) end
function M.expose:items() return hearth.stream(function() error(hearth.secret("smtp")) end) end
function M.expose:held() return self.held end
function M.expose:stale() error("stale " .. self.held) end
return M
`

// thief is granted nothing.
const thief = `
local ok, peek = pcall(require, "peek")
local T = hearth.object { instance = "single" }
function T.expose:ask(name) return hearth.secret(name) end
function T.expose:bylib(name) return peek(name) end
function T.expose:loot()
  local out = { tostring(hearth), tostring(hearth.secret), tostring(getmetatable(hearth)) }
  for k, v in pairs(hearth) do out[#out + 1] = tostring(k) .. tostring(v) end
  for k, v in pairs(_G) do out[#out + 1] = tostring(k) .. tostring(v) end
  for _, f in ipairs({ "rawget", "next" }) do
    local ok, v = pcall(_G[f], hearth, "secrets")
    out[#out + 1] = tostring(v)
  end
  local secret = hearth.secret
  hearth.secret = print
  hearth.secret = secret
  out[#out + 1] = tostring(debug) .. tostring(io) .. tostring(os.getenv) .. tostring(package)
  return table.concat(out, " ")
end
function T.expose:forge(name) return hearth.secret({ id = "vault.mailer", name = name }) end
function T.expose:steal() return hearth.proxy("vault.mailer"):held() end
return T
`

const peekLib = `return function(name) return hearth.secret(name) end`

// TestSecretsByAttack gives a secret to one object of the real binary, and looks for it
// everywhere else.
func TestSecretsByAttack(t *testing.T) {
	t.Setenv("HEARTH_LOG_LEVEL", "debug")
	const value, foreign, rotated = "hunter22-of-the-vault", "correct-horse-battery", "hunter23-the-second-one"
	put := func(dir, name, text string, mode os.FileMode) {
		path := filepath.Join(dir, name)
		check(t, os.MkdirAll(filepath.Dir(path), 0o755))
		check(t, os.WriteFile(path+".new", []byte(text), mode))
		check(t, os.Rename(path+".new", path))
	}
	h := startHostWith(t, fmt.Sprintf(secretPolicy, os.Getuid()), func(dir string) {
		put(dir, "scripts/vault/mailer.lua", mailer, 0o644)
		put(dir, "scripts/vault/neighbour.lua", thief, 0o644)
		put(dir, "scripts/vault/lib/peek.lua", peekLib, 0o644)
		put(dir, "scripts/other/thief.lua", thief, 0o644)
		put(dir, "secrets/smtp", value+"\n", 0o600)
		put(dir, "secrets/other", foreign, 0o400)
	})
	call := func(args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, h.bin, append(args, "--at", "unix:"+h.unix)...)
		out, _ := cmd.CombinedOutput()
		return string(out)
	}
	if got := call("call", "vault.mailer", "value"); !strings.Contains(got, value) {
		t.Fatalf("the object that may have it got %q", got)
	}
	if got := call("call", "vault.mailer", "bylib"); !strings.Contains(got, value) {
		t.Errorf("a module in the object that may have it got %q", got)
	}

	// The object's own slips.
	for _, method := range []string{"text", "bare", "bytes", "args", "class", "path", "module", "proxy", "field",
		"call",
		"arith", "number", "format", "sort", "int", "typed", "log"} {
		got := call("call", "vault.mailer", method)
		if strings.Contains(got, value) || strings.Contains(got, value[:12]) {
			t.Errorf("%s shows the secret: %s", method, got)
		}
		switch method {
		case "text", "bare", "args", "path":
			if !strings.Contains(got, "[secret smtp]") {
				t.Errorf("%s: no mark in %q", method, got)
			}
		}
	}
	if got := call("call", "vault.mailer", "items", "--stream"); strings.Contains(got, value) ||
		!strings.Contains(got, "[secret smtp]") {
		t.Errorf("the stream's error is %q", got)
	}
	if got := call("describe", "vault.mailer"); strings.Contains(got, value) ||
		!strings.Contains(got, "[secret smtp]") {
		t.Errorf("describe shows %q", got)
	}

	// Other objects. A secret that exists and is not granted gives the error of a missing one.
	for _, id := range []string{"vault.neighbour", "other.thief"} {
		exists, missing := call("call", id, "ask", `"smtp"`), call("call", id, "ask", `"smtq"`)
		if strings.ReplaceAll(exists, "smtp", "smtq") != missing ||
			!strings.Contains(exists, "has no secret of this name") ||
			!strings.Contains(exists, fmt.Sprintf("objects = [%q]", id)) {
			t.Errorf("%s distinguishes secrets:\n%s%s", id, exists, missing)
		}
		for _, attempt := range [][]string{{"bylib", `"smtp"`}, {"loot"}, {"forge", `"smtp"`}, {"steal"}} {
			if got := call(append([]string{"call", id}, attempt...)...); strings.Contains(got, value) {
				t.Errorf("%s got it by %s: %s", id, attempt, got)
			}
		}
	}
	if got := call("call", "vault.neighbour", "ask", `"other"`); !strings.Contains(got, foreign) {
		t.Errorf("the neighbour's own secret: %q", got)
	}

	// A new value reaches the running instance; the old one stays out of errors.
	put(h.dir, "secrets/smtp", rotated, 0o600)
	for late := time.Now().Add(10 * time.Second); !strings.Contains(call("call", "vault.mailer", "value"), rotated); {
		if time.Now().After(late) {
			t.Fatal("the new value did not arrive within 10 s")
		}
	}
	if got := call("call", "vault.mailer", "held"); !strings.Contains(got, value) {
		t.Errorf("the instance was replaced: %q", got)
	}
	call("call", "vault.mailer", "log")
	if got := call("call", "vault.mailer", "stale"); strings.Contains(got, value) ||
		!strings.Contains(got, "stale [secret smtp]") {
		t.Errorf("the value of before is shown: %q", got)
	}

	// A file that others can read keeps the last good value; one that is gone takes it away.
	put(h.dir, "secrets/smtp", "loose-and-lost", 0o644)
	soon, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	h.awaitLog(soon, t, "run chmod 600")
	if got := call("call", "vault.mailer", "value"); !strings.Contains(got, rotated) {
		t.Errorf("after a loose file: %q", got)
	}
	check(t, os.Remove(filepath.Join(h.dir, "secrets", "smtp")))
	for late := time.Now().Add(10 * time.Second); !strings.Contains(call("call", "vault.mailer", "value"),
		"has no secret of this name"); {
		if time.Now().After(late) {
			t.Fatal("the secret outlived its file by 10 s")
		}
	}

	// The remaining files.
	audit, err := os.ReadFile(filepath.Join(h.dir, "state", "audit.jsonl"))
	check(t, err)
	places := map[string]string{"the host's log": h.log.String(), "the audit log": string(audit)}
	for _, pid := range append(children(t, h.pid), h.pid) {
		for _, name := range []string{"environ", "cmdline"} {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
			if err == nil {
				places[fmt.Sprintf("/proc/%d/%s", pid, name)] = string(b)
			}
		}
	}
	if len(places) < 6 {
		t.Errorf("no worker was looked at: %d places", len(places))
	}
	if !strings.Contains(h.log.String(), "[secret smtp]") || len(audit) == 0 {
		t.Error("the logs hold nothing, so that nothing is proven")
	}
	for place, text := range places {
		for _, v := range []string{value, foreign, rotated, "loose-and-lost"} {
			if strings.Contains(text, v) {
				t.Errorf("%s holds %q", place, v)
			}
		}
	}
}
