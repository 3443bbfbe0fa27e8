package issuer_test

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/coupontest"
	"github.com/firstcome/firstcome/pkg/event"
)

func alone(t *testing.T, partitions int) *pipeline {
	t.Helper()
	servers := coupontest.StartAlone(t, coupontest.Kafka, coupontest.Redis)
	servers.CreateTopics(t, partitions)
	p := &pipeline{Servers: servers, t: t, client: servers.Kafka(t), redis: servers.Redis(t), parts: partitions}
	p.ask = p.producer(event.TopicRequests)
	return p
}

// Redis is killed while people ask, and comes back with nothing.
func TestService_RedisKilled(t *testing.T) {
	p := alone(t, 2)
	s := p.start()
	for i := range 4 {
		p.define(fmt.Sprint("c", i), 5)
	}
	for i := range 60 {
		p.claim(fmt.Sprint("c", i%4), fmt.Sprint("u", i%13))
		switch i {
		case 20:
			p.Kill(t, coupontest.Redis)
		case 40:
			p.eventually("it says that it waits", 20*time.Second, func() bool { return len(s.Ready()) > 0 })
			p.Restart(t, coupontest.Redis)
		}
	}
	p.agrees()
	p.eventually("it is ready again", 20*time.Second, func() bool { return len(s.Ready()) == 0 })
}

// Kafka is killed while people ask: who asked before is decided, and what was decided gets into the journal.
func TestService_KafkaKilled(t *testing.T) {
	p := alone(t, 2)
	p.start()
	for i := range 4 {
		p.define(fmt.Sprint("c", i), 5)
	}
	for i := range 60 {
		p.claim(fmt.Sprint("c", i%4), fmt.Sprint("u", i%13))
		if i%25 == 24 {
			p.Kill(t, coupontest.Kafka)
			p.Restart(t, coupontest.Kafka)
		}
	}
	p.agrees()
}

// What a stopped issuer leaves behind is nothing but its work.
func TestService_StopsClean(t *testing.T) {
	p := newPipeline(t, 2)
	p.define("c", 3)
	s := p.start()
	p.claim("c", "u")
	p.agrees()
	began := time.Now()
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("stopping took %v", took)
	}
	// Servers and clients of the test itself run in this process too: look for the issuer's own.
	p.eventually("no goroutine of it is left", 5*time.Second, func() bool {
		stacks := make([]byte, 4<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		return !bytes.Contains(stacks, []byte("services/issuer.(")) && !bytes.Contains(stacks, []byte("pkg/consumer."))
	})
}
