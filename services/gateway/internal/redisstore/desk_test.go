package redisstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/internal/env"
	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/services/gateway/verdict"
)

func TestMain(m *testing.M) { coupontest.Main(m) }

// faulty is what may happen between a store and its Redis.
type faulty struct {
	sent chan struct{}             // a word for each script call that is about to be sent
	pass atomic.Pointer[chan bool] // where set, a script call takes a word from it before it goes on
	lose atomic.Int32              // so many answers later one does not arrive, and its connection breaks
}

func (f *faulty) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (f *faulty) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := next(ctx, network, addr)
		return losing{c, &f.lose}, err
	}
}

func (f *faulty) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if held := f.pass.Load(); held != nil && cmd.Name() == "evalsha" {
			f.sent <- struct{}{}
			<-*held
		}
		return next(ctx, cmd)
	}
}

type losing struct {
	net.Conn
	lose *atomic.Int32
}

func (c losing) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err == nil && c.lose.Load() > 0 && c.lose.Add(-1) == 0 {
		_ = c.Conn.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// world is a store on a Redis of its own, whose partition 0 the test writes.
type world struct {
	*Store
	*faulty
	t     *testing.T
	redis *redis.Client
	at    redislayout.Keys
}

func newWorld(t *testing.T) *world {
	t.Helper()
	servers := coupontest.Start(t, coupontest.Redis)
	w := &world{
		Store:  Open(env.Redis{Addr: []string{servers.RedisAddr}, Mode: "single", Prefix: servers.RedisPrefix}),
		faulty: &faulty{sent: make(chan struct{}, 100)}, t: t, redis: servers.Redis(t), at: redislayout.New(servers.RedisPrefix, 0),
	}
	w.client.AddHook(w.faulty)
	t.Cleanup(func() { _ = w.Close() })
	w.define(0, 100)
	if err := deskScript.Load(t.Context(), w.redis).Err(); err != nil { // so that each script call is one command
		t.Fatal(err)
	}
	return w
}

// define is coupon "c" with the limit of the definition at an offset, where progress is too.
func (w *world) define(offset int64, limit int64) {
	w.t.Helper()
	d := fcfs.Definition{CouponID: "c", Limit: limit, Window: fcfs.WindowNone, TimeZone: "UTC", Rules: 1}
	_, err := w.redis.TxPipelined(w.t.Context(), func(tx redis.Pipeliner) error {
		tx.HSet(w.t.Context(), w.at.Coupon("c"), redislayout.FieldCurrent, offset, redislayout.FieldLimit, limit,
			redislayout.FieldDefinitions, offset+1, redislayout.FieldTotal, 0)
		tx.HSet(w.t.Context(), w.at.Coupon("c"), redislayout.DefinitionField(offset), redislayout.EncodeDefinition(d))
		tx.Set(w.t.Context(), w.at.Progress(), redislayout.Progress{Offset: offset}.String(), 0)
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// hold keeps script calls from being sent, until the function it returns is called.
func (w *world) hold() (goOn func()) {
	pass := make(chan bool)
	w.pass.Store(&pass)
	return func() { w.pass.Store(nil); close(pass) }
}

// arrive hands in a claim of one person.
func (w *world) arrive(ctx context.Context, n int, heard int64) *visit {
	return w.knock(ctx, Knock{
		CouponID: "c", UserID: "u", Heard: heard, Token: fmt.Sprint("?", n), Guard: time.Minute,
		Rules: func(*fcfs.Definition) verdict.Ruling { return verdict.Ruling{} },
	})
}

// Of one person's claims the first to arrive passes, whatever happens to it and to the others on the way.
func TestDesk_FirstToArrivePasses(t *testing.T) {
	t.Parallel()
	learn := func(w *world) {
		if _, err := ask(w.Store); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		before func(*world)
		after  func(*world) // all have arrived
		heard  [3]int64
		leave  []int
		lose   bool
	}{
		{name: "the coupon is known", before: learn},
		{name: "the coupon is not known yet"},
		{name: "the coupon is defined anew meanwhile", before: learn, after: func(w *world) { w.define(1, 50) }},
		{name: "the later ones have heard of a newer state", heard: [3]int64{0, 1, math.MaxInt64 >> 10}},
		{name: "the others go away", before: learn, leave: []int{1, 2}},
		{name: "the answer is lost, and the call made twice", before: learn, lose: true},
		{name: "the same, and the coupon is not known yet", lose: true},
	} {
		for _, together := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, together=%v", c.name, together), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				if c.before != nil {
					c.before(w)
				}
				goOn := w.hold()
				if together { // a call of somebody else is on its way, and they gather behind it
					w.desk(0).start(t.Context(), words{"release", []string{w.at.Guard("c", "", "else")}, []any{"", "?"}})
					<-w.sent
				}
				var visits [3]*visit
				var leave [3]context.CancelFunc
				for n := range visits {
					var ctx context.Context
					ctx, leave[n] = context.WithCancel(t.Context())
					defer leave[n]()
					visits[n] = w.arrive(ctx, n, c.heard[n])
					if n == 0 && !together {
						<-w.sent
					}
				}
				if c.after != nil {
					c.after(w)
				}
				if c.lose { // that of the first one's call
					w.lose.Store(1)
					if together {
						w.lose.Store(2)
					}
				}
				for _, n := range c.leave {
					leave[n]()
				}
				goOn()
				for n, v := range visits {
					d, err := v.door()
					gone := n > 0 && len(c.leave) > 0
					if gone && errors.Is(err, context.Canceled) {
						continue
					}
					if err != nil || n == 0 && d.Held != "" || n > 0 && d.Held != "?0" {
						t.Errorf("number %d: %+v, %v", n, d, err)
					}
				}
				if left := w.lose.Load(); left != 0 {
					t.Errorf("no answer was lost: %d too early", left)
				}
				if guard := w.redis.Get(t.Context(), w.at.Guard("c", "", "u")).Val(); guard != "?0" {
					t.Errorf("the guard is %q's", guard)
				}
			})
		}
	}
}

// A claim whose caller has given up before it was sent is not made, and those behind it are.
func TestDesk_GivenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	goOn := w.hold()
	w.desk(0).start(t.Context(), words{"release", []string{w.at.Guard("c", "", "else")}, []any{"", "?"}})
	<-w.sent
	ctx, leave := context.WithCancel(t.Context())
	first, second := w.arrive(ctx, 0, 0), w.arrive(t.Context(), 1, 0)
	leave()
	goOn()
	if d, err := first.door(); !errors.Is(err, context.Canceled) || d.Window != "" {
		t.Errorf("the first: %+v, %v", d, err)
	}
	if d, err := second.door(); err != nil || d.Held != "" {
		t.Errorf("the second: %+v, %v", d, err)
	}
}

// However often a coupon is defined anew, a claim is answered: the log decides then.
func TestDesk_DefinedAllTheTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	asked := 0
	v := &visit{store: w.Store, knock: Knock{CouponID: "c", UserID: "u", Token: "?0", Guard: time.Minute,
		Rules: func(*fcfs.Definition) verdict.Ruling {
			asked++
			w.define(int64(asked), 100)
			return verdict.Ruling{}
		}}}
	v.call = w.desk(0).start(t.Context(), v)
	if d, err := v.door(); err != nil || d.Held != "" || d.Refused != fcfs.None {
		t.Errorf("%+v, %v", d, err)
	}
	if asked != tries {
		t.Errorf("asked %d times", asked)
	}
}
