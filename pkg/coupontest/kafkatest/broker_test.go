package kafkatest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/firstcome/firstcome/pkg/broker"
)

func TestBroker_topics(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 3, nil)
	ctx := soon(t)
	have, err := p.Topic(ctx, p.topic)
	if want := (broker.Topic{Name: p.topic, Partitions: 3, LogAppendTime: true}); err != nil || have != want {
		t.Errorf("%+v, %v", have, err)
	}
	if _, err := p.Topic(ctx, p.topic+"-none"); !errors.Is(err, broker.ErrNoTopic) || !broker.Retriable(err) {
		t.Errorf("no topic: %v", err)
	}
	same := broker.TopicSpec{Name: p.topic, Partitions: 3, Replication: 1}
	created := broker.TopicSpec{Name: p.topic + "-new", Partitions: 2, Replication: 1, Config: map[string]string{"message.timestamp.type": "CreateTime", "retention.ms": "-1"}}
	if err := p.CreateTopics(ctx, []broker.TopicSpec{same, created}); err != nil {
		t.Error(err)
	}
	err = eventually(ctx, func() error {
		have, err := p.Topic(ctx, created.Name)
		if err == nil && (have.Partitions != 2 || have.LogAppendTime) {
			t.Errorf("%+v", have)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	same.Partitions, created.Partitions = 4, 5
	err = p.CreateTopics(ctx, []broker.TopicSpec{same, created})
	if err == nil || !strings.Contains(err.Error(), "3 partitions, not 4") || !strings.Contains(err.Error(), "2 partitions, not 5") {
		t.Errorf("other numbers of partitions: %v", err)
	}
}

func TestBroker_bounds(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 5, nil)
	ctx := soon(t)
	for partition := range int32(5) {
		for n := range int(partition) {
			p.publish(t, partition, numbered("row", n))
		}
	}
	p.servers.Truncate(t, p.topic, 4, 3)
	ends, err := p.Ends(ctx, p.topic)
	if err != nil || fmt.Sprint(ends) != "map[0:0 1:1 2:2 3:3 4:4]" {
		t.Errorf("%v, %v", ends, err)
	}
	if start, end, err := p.Bounds(ctx, p.topic, 4); start != 3 || end != 4 || err != nil {
		t.Errorf("%d, %d, %v", start, end, err)
	}
	if _, _, err := p.Bounds(ctx, p.topic, 5); err == nil {
		t.Error("a partition that is not there has bounds")
	}
	if _, err := p.Ends(ctx, p.topic+"-none"); !errors.Is(err, broker.ErrNoTopic) {
		t.Error(err)
	}
	if leader, err := p.Leader(ctx, p.topic, 0); leader == "" || err != nil {
		t.Errorf("%q, %v", leader, err)
	}
}

func TestBroker_commitWithoutMembers(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 1, nil)
	ctx := soon(t)
	if _, found, err := p.Committed(ctx, p.topic, p.topic, 0); found || err != nil {
		t.Errorf("%v, %v", found, err)
	}
	want := broker.Offset{Offset: 7, Metadata: "by hand"}
	err := eventually(ctx, func() error {
		return p.Commit(ctx, broker.Commit{Group: p.topic, Generation: -1, Topic: p.topic, Partition: 0, Offset: want})
	})
	if err != nil {
		t.Fatal(err)
	}
	if have, found, err := p.Committed(ctx, p.topic, p.topic, 0); have != want || !found || err != nil {
		t.Errorf("%+v, %v, %v", have, found, err)
	}
}
