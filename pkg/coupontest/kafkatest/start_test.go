package kafkatest

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
)

func alone(c *consumer.Config) { c.GroupID = "" }

func from(start consumer.Start) func(int32) consumer.Start {
	return func(int32) consumer.Start { return start }
}

// Without a group a process reads every partition, from where it says, and leaves nothing behind.
func TestRun_withoutAGroup(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 3, nil)
	for partition := range int32(3) {
		p.publish(t, partition, text("a"), text("b"))
	}
	first := &handler{start: from(consumer.FromBeginning())}
	stop := p.run(t, first, alone)
	own := &handler{start: from(consumer.From(1, consumer.NoSource))}
	p.run(t, own, alone)
	for partition := range int32(3) {
		first.await(t, partition, "[a b]")
		own.await(t, partition, "[b]")
	}
	p.publish(t, 2, text("c"))
	first.await(t, 2, "[a b c]")
	own.await(t, 2, "[b c]")
	stop()
	if first.opened != 3 || first.revoked != 3 {
		t.Errorf("%d times assigned, %d revoked", first.opened, first.revoked)
	}
	for partition := range int32(3) {
		err := eventually(soon(t), func() error { // a coordinator that has just begun
			have, found, err := p.Committed(soon(t), p.groupConfig().GroupID, p.topic, partition)
			if found {
				t.Errorf("committed %+v", have)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestRun_withoutAGroupWaitsForTheTopic(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 1, nil)
	p.topic += "-later"
	h := &handler{start: from(consumer.FromBeginning())}
	p.run(t, h, alone)
	makeTopic(t, p.Client, p.topic, 2, nil)
	p.publish(t, 1, text("a"))
	h.await(t, 1, "[a]")
}

func TestRun_fromAGroupThatThereIsNot(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 2, nil)
	h := &handler{}
	if err := consumer.Run(soon(t), consumer.Config{Client: p.Client, Topic: p.topic}, h); !errors.Is(err, consumer.ErrNoGroup) {
		t.Errorf("Run: %v", err)
	}
	if h.opened != h.revoked {
		t.Errorf("%d times assigned, %d revoked", h.opened, h.revoked)
	}
}

func TestRun_fromTheEnd(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 1, nil)
	p.publish(t, 0, text("a"))
	began := make(chan struct{}, 1)
	h := &handler{start: from(consumer.FromGroupOr(consumer.FromEnd())), idle: func(int32) error {
		select {
		case began <- struct{}{}:
		default:
		}
		return nil
	}}
	stop := p.run(t, h)
	<-began
	stop()
	p.publish(t, 0, text("b"))
	p.run(t, h)
	h.await(t, 0, "[b]")
}

func TestRun_fromATime(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 1, map[string]string{"message.timestamp.type": "CreateTime"})
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for minute, s := range []string{"a", "b", "c"} {
		p.publish(t, 0, event.Message{Value: []byte(s), Time: noon.Add(time.Duration(minute) * time.Minute)})
	}
	for _, c := range []struct {
		at   time.Time
		want int64
	}{
		{time.Time{}, 0}, {time.UnixMilli(-1), 0}, {noon, 0}, {noon.Add(time.Millisecond), 1}, {noon.Add(2 * time.Minute), 2}, {noon.Add(time.Hour), 3},
	} {
		if have, err := p.OffsetAt(soon(t), p.topic, 0, c.at); have != c.want || err != nil {
			t.Errorf("at %v: %d, %v", c.at, have, err)
		}
	}
	h := &handler{start: from(consumer.FromTime(noon.Add(time.Minute)))}
	p.run(t, h, alone)
	h.await(t, 0, "[b c]")
}

// Who is not let in is told at once, in a group or without; but a broker that only hangs up may be one that restarts.
func TestRun_isToldWhyItIsNotLetIn(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	right := broker.Config{
		Brokers: []string{guarded(t, ca)}, TLS: true, TLSCA: ca.file,
		SASLMechanism: broker.ScramSHA512, SASLUsername: "firstcome", SASLPassword: "secret",
	}
	wrongCA, wrongPassword := right, right
	wrongCA.TLSCA, wrongPassword.SASLPassword = newAuthority(t).file, "guess"
	says := map[string]broker.Config{"certificate signed by unknown authority": wrongCA}
	if os.Getenv(coupontest.EnvServers) == "containers" { // kfake hangs up
		says["authenticating firstcome by SCRAM-SHA-512"] = wrongPassword
	}
	for want, cfg := range says {
		client, err := broker.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		for _, group := range []string{"", "g"} {
			each := consumer.Each{Start: consumer.FromBeginning(), Other: func(context.Context, event.Record) error { return nil }}
			if err := consumer.Run(soon(t), consumer.Config{Client: client, GroupID: group}, each); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("group %q: %v does not say %q", group, err, want)
			}
		}
	}
}
