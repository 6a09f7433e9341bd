package admit

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// fairModel is a fair queue with the calls that a test made, and the service that each flow got.
type fairModel struct {
	queue   FairQueue
	weights map[Flow]float64
	flows   []Flow
	waiting map[Flow][]*modelCall // in the order of their requests
	holding []*modelCall          // calls with a slot that they have not released
	began   []*modelCall          // granted since the last check
	// served counts the calls of two flows since both of them have waiting calls without a break, divided by the
	// weight.
	served map[[2]Flow]*[2]float64
	// refunded has the flows that got a slot, released it unused, and whose calls have waited without a break since.
	// They may be ahead until they have caught up.
	refunded map[Flow]bool
}

// modelCall is a call that waits or has its slot.
type modelCall struct {
	slot  Slot
	flow  Flow
	begun int // number of grants
}

// request makes a call of a flow.
func (m *fairModel) request(t *rapid.T, flow Flow) {
	c := &modelCall{flow: flow}
	begin := func() {
		c.begun++
		m.began = append(m.began, c)
	}
	m.waiting[flow] = append(m.waiting[flow], c)
	if m.queue.Request(&c.slot, flow, m.weights[flow], time.Now(), begin) {
		begin()
	}
	m.check(t)
}

// release ends a call.
func (m *fairModel) release(t *rapid.T, i int, used bool) {
	c := m.holding[i]
	m.holding = slices.Delete(m.holding, i, i+1)
	if !used {
		m.refunded[c.flow] = len(m.waiting[c.flow]) > 0
	}
	m.queue.Release(&c.slot, used)
	m.check(t)
}

// check compares the queue with the model after a step.
func (m *fairModel) check(t *rapid.T) {
	q := &m.queue
	for _, c := range m.began {
		if c.begun != 1 {
			t.Fatalf("a call of %s began %d times", c.flow, c.begun)
		}
		if len(m.waiting[c.flow]) == 0 || m.waiting[c.flow][0] != c {
			t.Fatalf("a call of %s began before an earlier one", c.flow)
		}
		m.serve(t, c.flow)
		m.waiting[c.flow] = m.waiting[c.flow][1:]
		if len(m.waiting[c.flow]) == 0 {
			m.refunded[c.flow] = false
			for pair := range m.served {
				if slices.Contains(pair[:], c.flow) {
					delete(m.served, pair)
				}
			}
		}
		m.holding = append(m.holding, c)
	}
	m.began = m.began[:0]
	flows, held := 0, 0
	for _, all := range m.waiting {
		flows += min(len(all), 1)
	}
	for _, c := range m.holding {
		if c.slot.held {
			held++
		}
	}
	limit := q.slots * max(1, flows/flowsPerRound)
	switch {
	case held != q.held || flows != len(q.waiting):
		t.Fatalf("%d slots are held and %d flows wait, want %d and %d", q.held, len(q.waiting), held, flows)
	case flows > 0 && held < limit:
		t.Fatalf("calls of %d flows wait, and %d of %d slots are held", flows, held, limit)
	case flows > 0 && !q.timerRuns:
		t.Fatal("calls wait, and no timer runs")
	}
	most := q.slots * max(1, len(m.flows)/flowsPerRound)
	if held > most {
		t.Fatalf("%d slots are held, want at most %d", held, most)
	}
}

// serve counts a call of a flow that begins. Of two flows with waiting calls none may be ahead of the other by more
// than one call of each.
func (m *fairModel) serve(t *rapid.T, flow Flow) {
	for _, other := range m.flows {
		if other == flow || len(m.waiting[other]) == 0 {
			continue
		}
		pair, i := [2]Flow{flow, other}, 0
		if other < flow {
			pair, i = [2]Flow{other, flow}, 1
		}
		s := m.served[pair]
		if s == nil {
			s = new([2]float64)
			m.served[pair] = s
		}
		s[i] += 1 / m.weights[flow]
		ahead, bound := s[i]-s[1-i], 1/m.weights[flow]+1/m.weights[other]
		if ahead > bound+1e-6 && !m.refunded[flow] && !m.refunded[other] {
			t.Fatalf("%s is ahead of %s by %v, want at most %v", flow, other, ahead, bound)
		}
	}
}

// TestFairQueueModel makes and ends calls of several flows at random, and lets their slots expire. Each call begins
// once, in the order of its flow; no slot is unused while a call waits; flows that wait get service by their weights.
func TestFairQueueModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := fairModel{
			weights:  map[Flow]float64{},
			waiting:  map[Flow][]*modelCall{},
			served:   map[[2]Flow]*[2]float64{},
			refunded: map[Flow]bool{},
		}
		m.queue.Init(rapid.IntRange(1, 3).Draw(t, "slots"))
		m.queue.timer = time.AfterFunc(time.Hour, func() {}) // the test lets slots expire
		defer m.queue.timer.Stop()
		m.queue.contendedUntil.Store(int64(time.Hour))
		for i := range rapid.IntRange(2, 8).Draw(t, "flows") {
			flow := Flow(fmt.Sprint("t", i))
			m.flows = append(m.flows, flow)
			m.weights[flow] = rapid.SampledFrom([]float64{0.5, 1, 1, 3}).Draw(t, "weight")
		}
		t.Repeat(map[string]func(*rapid.T){
			"call": func(t *rapid.T) { m.request(t, rapid.SampledFrom(m.flows).Draw(t, "flow")) },
			"flood": func(t *rapid.T) {
				flow := rapid.SampledFrom(m.flows).Draw(t, "flow")
				for range 5 {
					m.request(t, flow)
				}
			},
			"release": func(t *rapid.T) {
				if len(m.holding) > 0 {
					i := rapid.IntRange(0, len(m.holding)-1).Draw(t, "call")
					m.release(t, i, rapid.IntRange(0, 3).Draw(t, "used") > 0)
				}
			},
			"expire": func(t *rapid.T) {
				for _, c := range m.holding[:rapid.IntRange(0, len(m.holding)).Draw(t, "calls")] {
					c.slot.begun = c.slot.begun.Add(-2 * maxHold)
				}
				m.queue.expire()
				m.check(t)
			},
		})
		for len(m.holding) > 0 { // in the end all calls begin
			m.release(t, 0, true)
		}
		for flow, all := range m.waiting {
			if len(all) > 0 {
				t.Fatalf("%d calls of %s never began", len(all), flow)
			}
		}
	})
}
