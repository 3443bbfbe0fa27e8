package coupontest

// Crash ends the process behind the test's back.
func (r *Running) Crash() {
	_ = r.cmd.Process.Kill()
	<-r.done
}

// PID is the number of the process.
func (r *Running) PID() int { return r.cmd.Process.Pid }

// Said is what the process said, and those before it.
func (r *Running) Said() string { return r.out.String() }
