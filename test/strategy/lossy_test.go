package strategy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/strategy"
	"github.com/firstcome/firstcome/strategy/strategytest"
)

// A way to Redis that loses an answer: the server has done the command, and the connection breaks before its client hears so.
// go-redis then sends the command a second time, and nobody sees that it did.

// lossy is a server of the shop whose way loses the answer to the next command of a name, such as "sadd", when lose has been
// called.
func (p till) lossy(t *testing.T) (server strategytest.Racer, lose func(command string)) {
	var armed atomic.Pointer[string]
	options := *p.connect().Options()
	options.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		return &losing{Conn: conn, armed: &armed}, err
	}
	client := redis.NewClient(&options)
	t.Cleanup(func() {
		client.Close()
		if command := armed.Load(); command != nil {
			t.Errorf("nobody sent %q", *command)
		}
	})
	return strategytest.NewRacer(p.name, client), func(command string) {
		command = "\r\n" + command + "\r\n" // as it is on the wire
		armed.Store(&command)
	}
}

type losing struct {
	net.Conn
	armed *atomic.Pointer[string]
	loses atomic.Bool
}

func (c *losing) Write(text []byte) (int, error) {
	if command := c.armed.Load(); command != nil && bytes.Contains(text, []byte(*command)) && c.armed.CompareAndSwap(command, nil) {
		c.loses.Store(true)
	}
	return c.Conn.Write(text)
}

func (c *losing) Read(text []byte) (int, error) {
	n, err := c.Conn.Read(text)
	if c.loses.Load() {
		c.Conn.Close()
		return 0, io.EOF
	}
	return n, err
}

// What is told, and kept, when the answer to a command is lost and the command is sent twice.
func TestAnswerLost(t *testing.T) {
	for _, c := range []struct {
		name, loses string
		told        error // what ada is told, who has one in the end
	}{
		{"script", "eval", strategy.ErrAlreadyIssued},
		{"recheck", "scard", nil},
		{"recheck", "sadd", strategy.ErrAlreadyIssued},
		{"queue", "eval", nil}, // the second claim changes nothing
		{"queue-plain", "eval", nil},
		{"lock", "set", nil},
		{"lock", "eval", nil}, // two numbers, and hers is the second
		{"lock", "evalsha", strategy.ErrAlreadyIssued},
		{"lock-plain", "sadd", strategy.ErrAlreadyIssued},
	} {
		t.Run(c.name+"/"+c.loses, func(t *testing.T) {
			t.Parallel()
			p, shop := open(t, c.name, 2)
			lossy, lose := p.lossy(t)
			_, err := lossy.Claim(t.Context(), p.id, "eve") // which loads the scripts
			check(t, err)
			lose(c.loses)
			ada := lossy.Ask(t.Context(), p.id, "ada")()
			if !errors.Is(ada.Err, c.told) {
				t.Errorf("ada is told %v, want %v", ada.Err, c.told)
			}
			p.works(t, shop)
			bob := strategytest.Decided(t, shop, p.id, "bob")
			if ada.Answer == strategy.Accepted {
				ada = strategytest.Result(t, shop.(strategy.Decider), p.id, "ada")
			}
			sale := p.sold(t, shop, 2, []strategy.Told{ada, bob})
			if faults := strategy.Count(sale); len(faults) > 0 || len(sale.Issued) != 2 {
				t.Errorf("%v have one, with %v; want eve and ada", sale.Issued, faults)
			}
		})
	}
}

// Both add themselves, and both answers are lost. What they send again says that they are in the set already: neither counts
// again. No server died.
func TestRecheck_AnswersLost(t *testing.T) {
	t.Parallel()
	p, shop := open(t, "recheck", 1)
	var stops []*strategytest.Stop
	var told []func() strategy.Told
	for _, user := range []string{"ada", "bob"} {
		one, lose := p.lossy(t)
		stop := one.Before("sadd")
		told = append(told, one.Ask(t.Context(), p.id, user))
		stop.Await(t) // and has counted none
		lose("sadd")
		stops = append(stops, stop)
	}
	for _, stop := range stops {
		stop.Release()
	}
	sale := p.sold(t, shop, 1, []strategy.Told{told[0](), told[1]()})
	if faults := strategy.Count(sale); !maps.Equal(faults, map[strategy.Fault]int{strategy.OverIssue: 1}) {
		t.Errorf("%v have one, with %v; want one too many, as the page says", sale.Issued, faults)
	}
}

// The answer to an SREM is lost, after which ada may have come again and have got the one that bob gave back: it is not sent a
// second time.
func TestRecheck_RemovalAnswerLost(t *testing.T) {
	t.Parallel()
	p, shop := open(t, "recheck", 1)
	one, lose := p.lossy(t)
	stop := one.Before("sadd")
	ada := one.Ask(t.Context(), p.id, "ada")
	stop.Await(t) // and has counted none
	bob := strategytest.Decided(t, shop, p.id, "bob")
	lose("srem")
	stop.Release()
	if told := ada(); !errors.Is(told.Err, io.EOF) {
		t.Errorf("ada is told %q, %v, want that it is not known", told.Answer, told.Err)
	}
	again := strategytest.Decided(t, shop, p.id, "ada")
	sale := p.sold(t, shop, 1, []strategy.Told{bob, again})
	if faults := strategy.Count(sale); len(faults) > 0 || len(sale.Issued) != 1 {
		t.Errorf("%v have one, with %v; want bob", sale.Issued, faults)
	}
}

// A claim has read the limit before it falls.
func TestRecheck_LimitFalls(t *testing.T) {
	t.Parallel()
	p, shop := open(t, "recheck", 2)
	strategytest.Decided(t, shop, p.id, "ada")
	one := p.racer()
	stop := one.Before("sadd")
	bob := one.Ask(t.Context(), p.id, "bob")
	stop.Await(t)
	check(t, shop.SetLimit(t.Context(), p.id, 1))
	stop.Release()
	if sale := p.sold(t, shop, 1, []strategy.Told{bob()}); strategy.Count(sale)[strategy.OverIssue] != 1 {
		t.Errorf("%v have one; want one too many, as the page says", sale.Issued)
	}
}

// A DECR is sent twice: one is gone that nobody has.
func TestLockPlain_AnswerLost(t *testing.T) {
	t.Parallel()
	p, shop := open(t, "lock-plain", 2)
	lossy, lose := p.lossy(t)
	lose("decr")
	told := []strategy.Told{strategytest.Decided(t, lossy, p.id, "ada"), strategytest.Decided(t, shop, p.id, "bob")}
	sale := p.sold(t, shop, 2, told)
	if faults := strategy.Count(sale); !maps.Equal(faults, map[strategy.Fault]int{strategy.UnderIssue: 1}) {
		t.Errorf("%v have one, with %v; want one left, as the page says", sale.Issued, faults)
	}
}

// A BRPOP is sent twice: what the first one took is lost, while the worker goes on.
func TestQueuePlain_AnswerLost(t *testing.T) {
	t.Parallel()
	sale := takenTwice(t, "queue-plain", "brpop")
	if faults := strategy.Count(sale); faults[strategy.Lost] != 1 || len(sale.Issued) != 1 || sale.Issued[0] != "bob" {
		t.Errorf("%v have one, with %v; want ada's claim lost, as the page says", sale.Issued, faults)
	}
}

// A BLMOVE is sent twice, and takes ada and bob. Ada was first, and is decided first.
func TestQueue_AnswerLost(t *testing.T) {
	t.Parallel()
	onlyAda(t, takenTwice(t, "queue", "blmove"))
}

// takenTwice has ada and bob wait for the only one, and a worker whose first answer is lost.
func takenTwice(t *testing.T, name, take string) strategy.Sale {
	p, shop := openQueue(t, name, 1, "ada", "bob")
	worker, lose := p.lossy(t)
	lose(take)
	p.works(t, worker.Strategy)
	bob := strategytest.Result(t, shop, p.id, "bob")
	answer, err := shop.Result(t.Context(), p.id, "ada")
	return p.sold(t, shop, 1, []strategy.Told{{UserID: "ada", Answer: answer, Err: err}, bob}, "ada", "bob")
}
