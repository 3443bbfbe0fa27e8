package simulation

import "sync"

// process is one of the programs: an issuer, a ledger, a downstream consumer. It can crash, and it can be paused: then it
// does nothing and learns nothing, and goes on later as if no time had passed.
type process struct {
	w      *World
	number int // of the world
	name   string
	group  *group
	member int // of the group
	role   role
	alive  bool
	paused bool

	mu    sync.Mutex // calls may come from goroutines
	calls []*call    // waiting
}

// role is what kind of process it is.
type role interface {
	own(p int32, generation int) // the group says that it owns a partition
	disown(p int32)              // the group says that it does not own it any more
	stale(p int32) bool          // it works on a partition that is not its own any more
	forget()                     // a crash: all memory is gone
	tick()                       // a second has passed
	items(add func(item))        // what can be done next, besides calls
}

func (w *World) newProcess(name string, g *group) *process {
	p := &process{w: w, number: len(w.processes), name: name, group: g, member: len(g.members), alive: true}
	g.members = append(g.members, p)
	w.processes = append(w.processes, p)
	return p
}

// crash ends the process. What it had under way takes effect, or not, or later.
func (p *process) crash() {
	w := p.w
	w.saw("crash: " + p.group.name)
	for _, c := range p.kill() {
		if !c.writes {
			continue
		}
		switch w.rng.IntN(3) {
		case 0:
			w.say("%s: %v: was under way, and takes effect", p.name, c.what)
			c.take()
		case 1:
			w.late = append(w.late, delayed{p.name, c})
		}
	}
}

// kill ends the process, and gives what it had under way.
func (p *process) kill() (calls []*call) {
	p.mu.Lock()
	calls = p.calls
	p.alive, p.paused, p.calls = false, false, nil
	p.mu.Unlock()
	p.role.forget()
	p.group.leave(p.member)
	for _, c := range calls {
		c.answer(errEnded) // nobody waits for longer than the process lives
	}
	return calls
}

func (p *process) start() {
	p.mu.Lock()
	p.alive = true
	p.mu.Unlock()
	p.w.say("%s starts", p.name)
}
