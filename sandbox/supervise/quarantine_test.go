package supervise

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/script"
)

// TestQuarantine crashes a worker repeatedly. It is not started again until one of its objects changes.
func TestQuarantine(t *testing.T) {
	v := script.NewVersion("acme.x", script.Script{}, script.NewLibs(nil), object.Limits{})
	tenant := New(Config{Tenant: "acme", Argv: []string{"/nonexistent/worker"}}, v)
	call := func() error {
		_, err := tenant.Invoke(t.Context(), &object.Call{ID: "acme.x"})
		return err
	}
	if err := call(); err == nil || !strings.Contains(err.Error(), "could not be started; not executed") {
		t.Fatalf("the first start: %v", err)
	}
	if err := call(); err == nil || !strings.Contains(err.Error(), "could not be started; not executed") {
		t.Fatalf("a start after one crash: %v", err)
	}
	if s := tenant.Status(); s.Quarantined || s.Wait <= 0 || s.Crashes != 2 || s.Cause == nil {
		t.Errorf("after two crashes: %+v", s)
	}
	why := errors.New("why")
	setAside := func() {
		t.Helper()
		tenant.mu.Lock()
		for range rule.MaxCrashes {
			tenant.crashedLocked(time.Second, why)
		}
		tenant.mu.Unlock()
		const want = "crashed 10 times in a row and is quarantined until one of its objects changes"
		err := call()
		if object.CodeOf(err) != object.CodeUnavailable || !strings.Contains(err.Error(), want) {
			t.Errorf("a call of a quarantined tenant: %v", err)
		}
		if s := tenant.Status(); !s.Quarantined || s.Cause != why || s.PID != 0 {
			t.Errorf("status of a quarantined tenant: %+v", s)
		}
	}
	started := func() bool { return strings.Contains(call().Error(), "could not be started") }

	setAside()
	tenant.Activate()
	if _, err := tenant.Stage(t.Context(), v); err == nil || !strings.Contains(err.Error(), "could not be started") {
		t.Errorf("another version is not tried: %v", err)
	}
	if !tenant.Status().Quarantined || started() {
		t.Error("a version that was refused had the worker start again")
	}
	setAside()
	tenant.Activate(script.NewVersion("acme.x", script.Script{}, script.NewLibs(nil), object.Limits{Steps: 1}))
	if !started() {
		t.Error("other limits do not have it start again")
	}
	setAside()
	tenant.Remove("acme.y")
	if !started() {
		t.Error("an object that is gone does not have it start again")
	}
}
