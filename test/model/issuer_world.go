package model

// lateArrivals: what sessions that ended had on the way. Of an emission the first facts may land, and the rest never.
func (w *walk) lateArrivals() {
	for k, f := range w.s.late {
		if f == (span{}) {
			continue
		}
		t := w.s
		bad := w.land(&t, f.from)
		t.late[k].from++
		if t.late[k].from == f.to {
			t.late[k] = span{}
		}
		sortSpans(&t.late)
		w.add(t, bad, "the journal takes %v, late, of a session that has ended", w.facts[f.from])
	}
	for k, c := range w.s.calls {
		if c == noCall {
			continue
		}
		t := w.s
		t.calls[k] = noCall
		bad := ""
		if t.redis.progress == c.from || w.NoCompare {
			bad = w.apply(&t.redis, c.from+1, c.to, 0)
		}
		w.add(t, bad, "a script call arrives late, to move progress from %d to %d (is %d)", c.from, c.to, w.s.redis.progress)
	}
}

func (w *walk) redisFaults() {
	s := w.s
	if s.left.Empty > 0 && s.redis.progress >= 0 {
		t := s
		t.left.Empty--
		t.redis = nowhere
		w.fault(t, "Redis is emptied")
	}
	if s.left.Rewind+s.left.Failover == 0 {
		return
	}
	if !s.hasSaved || s.saved != s.redis {
		t := s
		t.saved, t.hasSaved = s.redis, true
		w.fault(t, "(Redis at progress %d is saved)", s.redis.progress)
	}
	if s.left.Rewind > 0 && s.hasSaved && s.saved != s.redis {
		t := s
		t.left.Rewind--
		t.redis = s.saved
		t.forgetSaved()
		w.fault(t, "Redis is rewound to progress %d", t.redis.progress)
	}
	if s.left.Failover > 0 && s.hasSaved {
		t := s
		t.left.Failover--
		t.old, t.redis, t.onOld = s.redis, s.saved, [2]bool{true, true}
		t.forgetSaved()
		w.fault(t, "a replica at progress %d becomes the master; the old one, at %d, lives on", t.redis.progress, t.old.progress)
	}
}

func (s *issuerState) forgetSaved() {
	if s.left.Rewind+s.left.Failover == 0 {
		s.saved, s.hasSaved = nowhere, false
	}
}

func (w *walk) logFaults() {
	s := w.s
	if s.left.Truncate > 0 && s.start < w.end() {
		t := s
		t.left.Truncate--
		t.start++
		w.fault(t, "retention drops request %d", s.start)
	}
	idle := s.owners[0].phase <= outside && s.owners[1].phase <= outside
	for end := int8(0); s.left.Replace > 0 && idle && s.redis.progress >= 0 && s.highest >= 0 && end <= w.end(); end++ {
		t := s
		t.left.Replace--
		t.replaced, t.start, t.end = true, 0, end
		w.fault(t, "the requests topic is made anew, with %d records", end)
	}
}
