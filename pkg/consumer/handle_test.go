package consumer_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

var errPoison = errors.New("it does not go down")

// stomach is a handler to which some records are poison, however often they
// come. It takes a batch whole or not at all, unless it is picky: then it takes
// records one by one, and says how far it came.
type stomach struct {
	poison string
	picky  bool
	with   error // what it returns; errPoison by default
	taken  string
	given  []string // each batch
	kept   [][]event.Record
	own    []consumer.Batch // what an own store would have kept
}

func (s *stomach) Assigned(context.Context, int32) (consumer.Start, error) {
	return consumer.FromGroup(), nil
}

func (s *stomach) Handle(_ context.Context, b consumer.Batch) error {
	s.given = append(s.given, letters(b.Records))
	s.kept = append(s.kept, b.Records)
	bad := slices.IndexFunc(b.Records, func(r event.Record) bool { return strings.Contains(s.poison, string(r.Value)) })
	err := errPoison
	if s.with != nil {
		err = s.with
	}
	switch {
	case bad < 0:
		s.taken += letters(b.Records)
		s.own = append(s.own, b)
		return nil
	case !s.picky:
		return err
	}
	s.taken += letters(b.Records[:bad])
	return &consumer.RecordError{Offset: b.Records[bad].Offset, Err: err}
}

func (s *stomach) Revoked(int32) {}

func letters(records []event.Record) (text string) {
	for _, r := range records {
		text += string(r.Value)
	}
	return text
}

func giveUp(after int, then consumer.Then) func(*consumer.PartitionConfig) {
	return func(c *consumer.PartitionConfig) { c.Retry = consumer.Retry{Attempts: after, Then: then} }
}

// What a handler has done is not handed out again, whatever comes of the rest.
func TestRecordError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := logOf("abcd")
		l.Piece = 0
		s := &stomach{poison: "c", picky: true}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := consumer.RunPartition(ctx, quietly(), l, s)
		if !errors.Is(err, context.DeadlineExceeded) || s.taken != "ab" || s.given[0] != "abcd" || len(s.given) < 50 || len(s.given) > 150 {
			t.Errorf("returned %v, took %s of %d batches", err, s.taken, len(s.given))
		}
		for _, again := range s.given[1:] {
			if again != "cd" {
				t.Fatalf("again: %s", again)
			}
		}
		leaves(t, l, broker.Offset{Offset: 2, Metadata: "source=10"})
		s.poison = ""
		if err := drain(t, l, s); err != nil || s.taken != "abcd" {
			t.Errorf("returned %v, took %s", err, s.taken)
		}
	})
}

// An error that names a record of elsewhere says nothing about these.
func TestRecordError_ofNoRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stomach{poison: "b", with: &consumer.RecordError{Offset: 70, Err: errPoison}}
		box := &mailbox{}
		if err := drain(t, logOf("ab"), s, to(box), giveUp(2, consumer.DeadLetter)); err != nil || s.taken != "a" || letters(box.records()) != "b" {
			t.Errorf("returned %v, took %q, buried %v", err, s.taken, box.letters)
		}
	})
}

// A handler that says that it is not finished, and has done nothing, is not called in a tight loop.
func TestRecordError_unfinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, began := 0, time.Now()
		h := &clerk{handle: func(b consumer.Batch) error {
			if calls++; calls < 10 {
				return &consumer.RecordError{Offset: b.Records[0].Offset}
			}
			return nil
		}}
		if err := drain(t, logOf("ab"), h); err != nil || time.Since(began) < 3*time.Second {
			t.Errorf("returned %v after %v", err, time.Since(began))
		}
	})
}

func TestRunPartition_checksRetry(t *testing.T) {
	h := &clerk{}
	err := drain(t, logOf("a"), h, giveUp(3, consumer.DeadLetter))
	if err == nil || !strings.Contains(err.Error(), "DeadLetters: missing") || len(h.told) > 0 {
		t.Errorf("returned %v, told %v", err, h.told)
	}
}

func TestRetry_givesUp(t *testing.T) {
	all := "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for _, c := range []struct {
		name   string
		poison string
		picky  bool
		calls  int // of Handle, at most
	}{
		{"by batch", "f", false, 25},
		{"by batch, first and last", "aZ", false, 40},
		{"by batch, some in a row", "defgh", false, 60},
		{"by batch, nothing else", all, false, 5 * 52},
		{"by batch, what follows is not taken one by one", "a", false, 16},
		{"by record", "f", true, 4},
		{"by record, nothing else", all, true, 3 * 52},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, box := logOf(all), &mailbox{refuses: 1}
				l.Piece = 0
				s := &stomach{poison: c.poison, picky: c.picky}
				if err := drain(t, l, s, to(box), giveUp(3, consumer.DeadLetter)); err != nil {
					t.Fatal(err)
				}
				var good string
				for _, r := range all {
					if !strings.ContainsRune(c.poison, r) {
						good += string(r)
					}
				}
				if s.taken != good || letters(box.records()) != c.poison {
					t.Errorf("took %q, not %q; buried %q", s.taken, good, letters(box.records()))
				}
				if len(s.given) > c.calls {
					t.Errorf("%d calls: %q", len(s.given), s.given)
				}
				for _, m := range box.letters {
					letter, err := event.ReadDeadLetter(event.Record{Key: m.Key, Value: m.Value, Headers: m.Headers})
					if err != nil || letter.Reason != event.ReasonHandlerFailed || letter.Detail != errPoison.Error() || letter.Record.Partition != 3 {
						t.Errorf("%+v, %v", letter, err)
					}
				}
				leaves(t, l, broker.Offset{Offset: 52, Metadata: "source=510"})
			})
		})
	}
}

// Each record that is given up was tried alone, as often as was said.
func TestRetry_attempts(t *testing.T) {
	for _, picky := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := &stomach{poison: "c", picky: picky}
			if err := drain(t, logOf("abcd"), s, to(&mailbox{}), giveUp(4, consumer.DeadLetter)); err != nil {
				t.Fatal(err)
			}
			alone := 0
			for _, given := range s.given {
				if given == "c" || picky && given == "cd" {
					alone++
				}
			}
			if alone != 4 {
				t.Errorf("picky %v: tried %d times: %q", picky, alone, s.given)
			}
		})
	}
}

// What fails for a while and is taken then is forgotten: neither its attempts nor its waits are the next one's.
func TestRetry_beginsAnewWithEachRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, failed, began := logOf("abcdef"), map[int64]int{}, time.Now()
		l.Piece = 0
		h := &clerk{handle: func(b consumer.Batch) error {
			r := b.Records[0]
			if failed[r.Offset]++; failed[r.Offset] < 5 {
				return &consumer.RecordError{Offset: r.Offset, Err: errPoison}
			}
			if len(b.Records) > 1 {
				return &consumer.RecordError{Offset: b.Records[1].Offset}
			}
			return nil
		}}
		if err := drain(t, l, h, func(p *consumer.PartitionConfig) {
			p.Retry = consumer.Retry{Attempts: 5, Min: time.Second, Max: time.Hour, Then: consumer.Stop}
		}); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 6*15*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestRetry_stops(t *testing.T) {
	for _, picky := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			l := logOf("abcdefgh")
			l.Piece = 0
			s := &stomach{poison: "f", picky: picky}
			var stop *consumer.StopError
			err := drain(t, l, s, giveUp(3, consumer.Stop))
			if !errors.As(err, &stop) || stop.Partition != 3 || stop.Offset != 5 || stop.Topic != event.TopicGrants || stop.Attempts != 3 || !errors.Is(err, errPoison) {
				t.Fatalf("returned %v", err)
			}
			if want := "stopped at offset 5 of partition 3 of topic coupon.grants, which failed 3 times: it does not go down"; err.Error() != want {
				t.Errorf("it says %q", err)
			}
			leaves(t, l, broker.Offset{Offset: 5, Metadata: "source=40"})
			s.poison = ""
			if err := drain(t, l, s); err != nil || s.taken != "abcdefgh" {
				t.Errorf("returned %v, took %s", err, s.taken)
			}
		})
	}
}

// Whatever a handler with a store of its own was given in pieces, it could go on from.
func TestRetry_piecesAreBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := logOf("abcdefgh")
		l.Piece = 0
		s := &stomach{poison: "f"}
		if err := drain(t, l, s, to(&mailbox{}), giveUp(1, consumer.DeadLetter)); err != nil {
			t.Fatal(err)
		}
		if len(s.own) < 3 {
			t.Fatalf("not in pieces: %q", s.given)
		}
		for _, b := range s.own {
			last := b.Records[len(b.Records)-1].Offset
			if b.HighestSource != last*10 && b.Next != 8 || b.Next <= last {
				t.Errorf("%s: next %d, highest source %d", letters(b.Records), b.Next, b.HighestSource)
			}
			from := &clerk{start: consumer.From(b.Next, b.HighestSource)}
			if err := drain(t, l, from); err != nil {
				t.Error(err)
			}
			if want := strings.Join(strings.Split("abcdefgh"[b.Next:], ""), ","); strings.Trim(strings.Join(from.told[1:len(from.told)-1], ","), ",") != want {
				t.Errorf("from %d on: %v", b.Next, from.told)
			}
		}
	})
}

// A rejection is no failure: it is not tried again. What the handler has kept stays as it was.
func TestRejectError_inTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, picky := range []bool{false, true} {
			l, box := logOf("abcd"), &mailbox{}
			l.Piece = 0
			s := &stomach{poison: "b", picky: picky, with: &consumer.RejectError{Offset: 1, Reason: event.ReasonInvalid, Detail: "it is bad"}}
			if err := drain(t, l, s, to(box), giveUp(1, consumer.Stop)); err != nil || letters(box.records()) != "b" || s.taken != "acd" {
				t.Errorf("returned %v, took %s, buried %v", err, s.taken, box.letters)
			}
			if have := letters(slices.Concat(s.kept...)); have != "abcdacd" && have != "abcdcd" {
				t.Errorf("picky %v: it has kept %s", picky, have)
			}
		}
	})
}

// The waits grow from Min to Max, and the zero value's from 50 ms to a second.
func TestRetry_waits(t *testing.T) {
	for _, c := range []struct {
		retry       consumer.Retry
		least, most time.Duration // for ten failures
	}{
		{consumer.Retry{}, 3200 * time.Millisecond, 6600 * time.Millisecond},
		{consumer.Retry{Min: time.Second, Max: time.Minute}, 151 * time.Second, 304 * time.Second},
		{consumer.Retry{Min: time.Minute}, 5 * time.Minute, 10 * time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			failures, began := 10, time.Now()
			h := &clerk{handle: func(consumer.Batch) error {
				if failures--; failures >= 0 {
					return errPoison
				}
				return nil
			}}
			err := drain(t, logOf("ab"), h, func(p *consumer.PartitionConfig) { p.Retry = c.retry })
			if took := time.Since(began); err != nil || took < c.least || took > c.most {
				t.Errorf("%+v: %v, %v", c.retry, took, err)
			}
		})
	}
}

func TestConfig_problemsAllAtOnce(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  consumer.Config
		h    consumer.Handler
		want []string
	}{
		{"nothing", consumer.Config{}, nil, []string{"no Client", "no handler"}},
		{"no letters", consumer.Config{Retry: consumer.Retry{Then: consumer.DeadLetter}}, &stomach{},
			[]string{"no Client", "Retry.Attempts: missing", "DeadLetters: missing"}},
		{"no end", consumer.Config{Retry: consumer.Retry{Attempts: 3}}, &stomach{}, []string{"no Client", "Retry.Then: missing"}},
		{"negative", consumer.Config{Retry: consumer.Retry{Attempts: -1, Min: -1, Then: consumer.Stop}}, &stomach{}, []string{"no Client", "Retry.Attempts: -1 is negative", "Retry.Min and Max"}},
		{"no range", consumer.Config{Retry: consumer.Retry{Min: 2, Max: 1}}, &stomach{}, []string{"no Client", "Retry.Min and Max: 2ns to 1ns"}},
		{"no such end", consumer.Config{Retry: consumer.Retry{Then: 7}}, &stomach{}, []string{"no Client", "Retry.Then: 7 is none"}},
		{"no group", consumer.Config{}, consumer.Each{}, []string{"no Client", "Each.Start: there is no group"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := consumer.Run(t.Context(), c.cfg, c.h)
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%v does not say %q", err, want)
				}
			}
			if err != nil && strings.Count(err.Error(), "\n")+1 != len(c.want) {
				t.Errorf("it says more: %v", err)
			}
		})
	}
}

// A producer without a topic publishes into the requests log, where dead letters would become dead letters.
func TestConfig_lettersElsewhere(t *testing.T) {
	client, err := broker.New(broker.Config{Brokers: []string{"nobody:9092"}, TopicPrefix: "stage."})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, topic := range []string{"", "stage.coupon.grants", "mine"} {
		box, err := producer.New(producer.Config{Client: client, Topic: topic})
		if err != nil {
			t.Fatal(err)
		}
		err = consumer.Run(ended, consumer.Config{Client: client, GroupID: "g", Topic: "mine", DeadLetters: box}, &stomach{})
		if err == nil || !strings.Contains(err.Error(), "DeadLetters: topic "+box.Topic()+" is not for them") {
			t.Errorf("letters into %q: %v", box.Topic(), err)
		}
		if err := box.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
