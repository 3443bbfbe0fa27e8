package coupontest

// Crash ends the process behind the test's back.
func (r *Running) Crash() {
	_ = r.cmd.Process.Kill()
	<-r.done
}
