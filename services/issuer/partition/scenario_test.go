package partition_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/services/issuer/partition"
	"github.com/firstcome/firstcome/services/issuer/partition/partitiontest"
)

var rewrite = flag.Bool("rewrite", false, "write the scenarios' output anew")

// The scenarios in testdata are stories: a line that begins with "> " is done, the lines below say what came of it. With
// -rewrite they are written anew; read the difference.
//
//	> define <coupon> <limit> [daily] [closes +2h]   a definition; a time is relative to the story's clock
//	> claim <coupon> <user>…                         > refuse [offsets]       > pass 2h       the log's clock goes on
//	> until <action>                                 everything in order, until that action would be next
//	> do | fail before | fail after | late           the next action
//	> settle                                         everything in order, until all is done or the partition stops
//	> crash | takeover | other | stop                the process ends; another one starts too; the story goes on with the
//	                                                 other; it stops in order
//	> empty | save | rewind | drop <offset>          Redis and retention
//	> forge <offset> | end <offset>                  the log is another: at this offset, or it ends earlier
//	> commit <offset> | journal anew | journal cut <n> | journal newer <source> | arrive
func TestMachine_Scenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(text))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want := string(text); got != want {
				t.Errorf("%s", firstDifference(want, got))
			}
		})
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return fmt.Sprintf("line %d is\n%s\nnot\n%s", i+1, g[i], w[i])
		}
	}
	return "it goes on otherwise:\n" + strings.Join(append(w, g...)[min(len(w), len(g)):], "\n")
}

func play(t *testing.T, script string) string {
	s := &story{t: t, world: partitiontest.NewWorld(0), now: began, clock: fcfs.FromTime(began)}
	s.owner = partitiontest.NewOwner(s.world, 0, partition.Config{})
	for line := range strings.Lines(script) {
		line = strings.TrimSuffix(line, "\n")
		command, ok := strings.CutPrefix(line, "> ")
		if !ok && !strings.HasPrefix(line, "#") && line != "" {
			continue // what came of it the last time
		}
		fmt.Fprintln(&s.out, line)
		if ok {
			s.play(strings.Fields(command))
		}
	}
	return s.out.String()
}

type story struct {
	t      *testing.T
	world  *partitiontest.World
	owner  *partitiontest.Owner
	others []*partitiontest.Owner
	now    time.Time
	clock  fcfs.Millis
	saved  partitiontest.Saved
	told   int
	broken int
	out    strings.Builder
}

func (s *story) play(f []string) {
	if !s.ask(f) && !s.break_(f) {
		s.run(f)
	}
	for _, n := range s.owner.Notices[min(s.told, len(s.owner.Notices)):] {
		s.print("  ! %s %s", n.Kind, strings.TrimSpace(count(n.Count)+" "+n.Detail))
	}
	s.told = len(s.owner.Notices)
	for _, b := range s.world.Breaches[s.broken:] {
		s.print("  BREACH %s", b)
	}
	s.broken = len(s.world.Breaches)
}

func count(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func (s *story) print(format string, args ...any) {
	fmt.Fprintln(&s.out, strings.TrimRight(fmt.Sprintf(format, args...), " "))
}

func (s *story) number(f []string, i int) int64 {
	n, err := strconv.ParseInt(f[i], 10, 64)
	if err != nil {
		s.t.Fatalf("%v: %v", f, err)
	}
	return n
}

func (s *story) period(text string) fcfs.Millis {
	d, err := time.ParseDuration(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return fcfs.Millis(d.Milliseconds())
}

func (s *story) ask(f []string) bool {
	switch f[0] {
	case "define":
		d := fcfs.Definition{CouponID: f[1], Limit: s.number(f, 2), Window: fcfs.WindowNone, TimeZone: "UTC", Rules: 1}
		for i := 3; i < len(f); i++ {
			if f[i] == "daily" {
				d.Window = fcfs.WindowDaily
			} else if f[i] == "closes" {
				i++
				d.ClosesAt = s.clock + s.period(f[i])
			}
		}
		s.world.Append(0, partitiontest.Define(s.clock, d))
	case "claim":
		for _, user := range f[2:] {
			s.world.Append(0, partitiontest.Claim(s.clock, f[1], user))
		}
	case "refuse":
		n := int64(1)
		if len(f) > 1 {
			n = s.number(f, 1)
		}
		s.world.Append(0, partitiontest.Refuse(s.clock, n))
	case "pass":
		s.clock += s.period(f[1])
	default:
		return false
	}
	return true
}

func (s *story) break_(f []string) bool {
	w := s.world
	switch f[0] {
	case "empty":
		w.Store.Empty()
	case "save":
		s.saved = w.Store.Save()
	case "rewind":
		w.Store.Rewind(s.saved)
	case "drop":
		w.Drop(s.number(f, 1))
	case "commit":
		w.Committed = partition.Committed{Offset: s.number(f, 1)}
		w.GiveUp(w.Committed.Offset)
	case "forge":
		for i := range w.Log {
			if w.Log[i].Offset == s.number(f, 1) {
				w.Log[i].Time++
			}
		}
	case "end":
		w.End = s.number(f, 1)
		w.Log = w.Log[:w.End]
	case "journal":
		switch f[1] {
		case "anew":
			w.Journal = nil
		case "cut":
			w.Cut = s.number(f, 2)
		case "newer":
			w.LandNewer(s.number(f, 2))
		}
	case "arrive":
		for _, o := range append(s.others, s.owner) {
			for len(o.Late) > 0 {
				o.Arrive(0, 100)
			}
		}
	default:
		return false
	}
	return true
}

func (s *story) run(f []string) {
	switch f[0] {
	case "until":
		s.until(strings.Join(f[1:], " "))
	case "do":
		s.do(partitiontest.None)
	case "late":
		s.do(partitiontest.LandLate)
	case "fail":
		s.do(map[string]partitiontest.Fault{"before": partitiontest.FailBefore, "after": partitiontest.FailAfter}[f[1]])
	case "crash":
		s.owner.Restart()
		s.told = 0
	case "takeover":
		s.others = append(s.others, s.owner)
		s.owner, s.told = partitiontest.NewOwner(s.world, len(s.others), partition.Config{}), 0
	case "other":
		s.others[0], s.owner = s.owner, s.others[0]
		s.told = len(s.owner.Notices)
	case "stop":
		s.owner.Machine.Stop()
		s.until("nothing")
	case "settle":
		s.until("nothing")
		s.print("  progress %v, journal %d, committed %d, %s", s.world.Store.Progress(), len(s.world.Journal), s.world.Committed.Offset, s.standing())
	default:
		s.t.Fatalf("%v is no command", f)
	}
}

func (s *story) standing() string {
	switch {
	case s.owner.Machine.Over():
		return fmt.Sprint("over: ", s.owner.Machine.Err())
	case s.owner.StoppedFor() != "":
		return "stopped"
	case s.owner.Settled():
		return "settled"
	}
	return "not settled"
}

// until goes on in order; a partition that stays idle or stopped for a minute is done.
func (s *story) until(kind string) {
	end := s.now.Add(30 * time.Second)
	for !s.owner.Machine.Over() && s.now.Before(end) {
		s.owner.Step(s.now)
		switch {
		case len(s.owner.Pending) > 0 && s.owner.Pending[0].Kind.String() == kind:
			return
		case len(s.owner.Pending) > 0 && !s.idles():
			s.do(partitiontest.None)
		default:
			if kind == "nothing" && s.owner.Settled() {
				return
			}
			s.idle()
		}
	}
}

func (s *story) idles() bool {
	a := s.owner.Pending[0]
	return a.Kind == partition.Fetch && a.Offset >= s.world.End && a.Offset > s.world.Store.Progress().Offset && len(s.owner.Pending) == 1
}

// idle lets time pass, and does the fetch that found nothing.
func (s *story) idle() {
	if len(s.owner.Pending) > 0 {
		s.owner.Do(0, partitiontest.None)
		s.owner.Deliver(0)
	}
	s.now = s.now.Add(100 * time.Millisecond)
}

func (s *story) do(fault partitiontest.Fault) {
	if len(s.owner.Pending) == 0 {
		s.t.Fatal("nothing to do")
	}
	a := s.owner.Do(0, fault)
	s.owner.Deliver(0)
	how := map[partitiontest.Fault]string{
		partitiontest.FailBefore: "   (fails before it takes effect)", partitiontest.FailAfter: "   (fails after it took effect)", partitiontest.LandLate: "   (unknown)",
	}[fault]
	s.print("  %v%s", a, how)
	if a.Kind == partition.Publish {
		for at, d := range a.Outcomes.All() {
			sequence := ""
			if d.Sequence > 0 {
				sequence = fmt.Sprint(" ", d.Sequence)
			}
			s.print("    %d %v%s", at, d.Outcome, sequence)
		}
	}
}
