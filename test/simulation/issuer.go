package simulation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/firstcome/firstcome/services/issuer"
	"github.com/firstcome/firstcome/services/issuer/partition"
)

// issuing is an issuer: a Machine for each partition that it owns, or believes to own.
type issuing struct {
	*process
	owners []*owner // by partition, then by age
}

// owner is what an issuer has of one partition: what services/issuer runs in goroutines is done by the scheduler here.
type owner struct {
	of         *issuing
	partition  int32
	generation int
	machine    *partition.Machine
	ports      partition.Ports
	decides    []*call            // waiting, in the order in which they were given out
	results    []partition.Result // not yet brought to the machine
	commits    int                // given out
	committed  int                // the last of them that took effect
	fresh      bool               // the machine has not been asked since the last result
	stopping   bool
}

func (w *World) newIssuer(name string) {
	i := &issuing{process: w.newProcess(name, w.requests)}
	i.role = i
}

func (i *issuing) own(p int32, generation int) {
	i.end(p)
	place := i.w.places[p]
	o := &owner{of: i, partition: p, generation: generation, fresh: true}
	cfg := i.w.config.machine
	cfg.Partition, cfg.Notice = p, o.notice
	o.machine = partition.New(cfg)
	log := membership{i.w.requests, place.requests, generation, i.w.config.fetchMost}
	o.ports = partition.Ports{
		Requests: issuer.NewRequests(log, lettersOf{i.w, place.requests.name}, len(i.w.places)),
		Store:    storeOf{place},
		Journal:  issuer.NewJournal(place.requests.name, p, membership{topic: place.journal, most: i.w.config.fetchMost}, journalOf{place}),
	}
	i.owners = append(i.owners, o)
}

// end drops an owner without another word, as when draining takes too long.
func (i *issuing) end(p int32) {
	for at := 0; at < len(i.owners); at++ {
		if i.owners[at].partition == p {
			i.owners = append(i.owners[:at:at], i.owners[at+1:]...)
			at--
		}
	}
}

// disown lets the machine finish what it has decided, as at the end of a generation.
func (i *issuing) disown(p int32) {
	for _, o := range i.owners {
		if o.partition == p {
			o.machine.Stop()
			o.stopping, o.fresh = true, true
		}
	}
}

func (i *issuing) stale(p int32) bool {
	for _, o := range i.owners {
		if o.partition == p && !o.stopping && !i.group.owns(i.member, p, o.generation) {
			return true
		}
	}
	return false
}

func (i *issuing) forget() { i.owners = nil }

func (i *issuing) tick() {
	for _, o := range i.owners {
		o.fresh = true
	}
}

// answerKinds are the kinds of answers that come back to a machine.
var answerKinds = func() (kinds [partition.LookAtProgress + 1]string) {
	for k := range kinds {
		kinds[k] = "answer to " + partition.Kind(k).String()
	}
	return kinds
}()

func (i *issuing) items(add func(item)) {
	for _, o := range i.owners {
		if o.fresh {
			add(item{partition: o.partition, kind: "step", run: o.step})
		}
		for at, r := range o.results {
			add(item{partition: o.partition, kind: answerKinds[r.Kind], run: func() { o.deliver(at) }})
		}
	}
}

// step asks the machine what is to be done.
func (o *owner) step() {
	o.fresh = false
	for _, a := range o.machine.Step(time.Now()) {
		o.submit(a)
	}
	if o.machine.Over() {
		o.over()
	}
}

func (o *owner) submit(a partition.Action) {
	w := o.of.w
	c := &call{what: sayable{"p%d %v", []any{o.partition, a}}, kind: a.Kind.String(), partition: o.partition}
	r := partition.Result{}
	c.do = func() error {
		r = partition.Do(context.Background(), o.ports, a)
		return r.Err
	}
	c.answer = func(err error) {
		if err != nil {
			r = partition.Result{Action: a, Err: err}
			r.Answer.Err = err
		}
		o.results = append(o.results, r)
		o.decided(c)
	}
	switch a.Kind {
	case partition.Decide:
		o.decides = append(o.decides, c)
		c.ready = func() bool { return len(o.decides) > 0 && o.decides[0] == c }
		c.writes = true
	case partition.RestoreFacts, partition.DeadLetter:
		c.writes = true
	case partition.Commit:
		c.writes = true
		o.inOrder(c)
	case partition.Fetch:
		c.ready, c.empty = w.poll(w.places[o.partition].requests, a.Offset)
	case partition.Emit:
		c.writes = true
		if n := len(a.Facts); n > 1 {
			c.part = func(choose int) {
				_, _ = o.ports.Journal.Emit(context.Background(), a.Facts[:1+choose%(n-1)])
			}
		}
	}
	if a.Kind != partition.Publish && a.Kind != partition.Commit {
		c.stale = func() bool { return a.Session != o.machine.Session() }
	}
	o.of.submit(c)
}

// inOrder lets a late commit of this owner never undo a later one: the next commit would mend it, but it may be long in
// coming.
func (o *owner) inOrder(c *call) {
	o.commits++
	number, do := o.commits, c.do
	c.do = func() error {
		if number < o.committed {
			return errInjected
		}
		o.committed = number
		return do()
	}
}

func (o *owner) decided(c *call) {
	if len(o.decides) > 0 && o.decides[0] == c {
		o.decides = o.decides[1:]
	}
}

func (o *owner) deliver(at int) {
	r := o.results[at]
	o.results = append(o.results[:at:at], o.results[at+1:]...)
	o.machine.Done(r)
	o.fresh = true
	if o.of.w.rng.IntN(4) > 0 {
		o.step()
	}
}

func (o *owner) over() {
	w, err := o.of.w, o.machine.Err()
	o.of.end(o.partition)
	w.say("%s: p%d is over: %v", o.of.name, o.partition, err)
	switch {
	case errors.Is(err, partition.ErrRejoin):
		w.saw("found higher progress")
		for _, other := range o.of.owners {
			o.of.disown(other.partition)
		}
		o.of.group.leave(o.of.member)
	case !o.stopping:
		w.breach("the machine of partition %d is over without a reason", o.partition)
	}
}

func (o *owner) notice(n partition.Notice) {
	w := o.of.w
	w.say("%s: p%d %s%s", o.of.name, o.partition, n.Kind, about(n))
	w.saw("notice: " + n.Kind)
	if n.Kind == partition.Rebuilt {
		w.places[o.partition].rebuilding = false
	}
}

func about(n partition.Notice) (text string) {
	if n.Count > 0 {
		text += fmt.Sprintf(" %d", n.Count)
	}
	if n.Detail != "" {
		text += ": " + n.Detail
	}
	if n.Err != nil {
		text += ": " + n.Err.Error()
	}
	return text
}
