package coupontest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

// Where nobody decides, Grants says how far the log was decided, and doesn't take "none so far" for an answer.
func TestCouponLog_Undecided(t *testing.T) {
	s := Start(t, Kafka)
	s.CreateTopics(t, 1)
	requests, err := producer.New(producer.Config{Client: s.Kafka(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer requests.Close(t.Context())
	m, err := Claims("tea", 1)[0].Message(event.Meta{Source: "/test"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := requests.Publish(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err = couponLog{s.Kafka(t), "tea", 0}.decided(ctx)
	if err == nil || !strings.HasPrefix(err.Error(), "the issuer has decided 0 of the 1 requests in "+s.TopicPrefix+"coupon.requests, partition 0") {
		t.Errorf("said %v", err)
	}
}
