package coupontest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

// While somebody's claims are undecided, Grants waits, and says so in the end; it doesn't take "none so far" for an answer.
func TestCouponLog_Decided(t *testing.T) {
	s := Start(t, Kafka)
	s.CreateTopics(t, 1)
	client := s.Kafka(t)
	requests, err := producer.New(producer.Config{Client: client})
	if err != nil {
		t.Fatal(err)
	}
	defer requests.Close(t.Context())
	for _, claim := range append(Claims("cake", 1), Claims("tea", 2)...) {
		m, err := claim.Message(event.Meta{Source: "/test"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := requests.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	decided := func(offset int64, within time.Duration) error {
		must(t, "commit as the issuer does", func(ctx context.Context) error {
			return await(ctx, func(ctx context.Context) error { // a new broker has no coordinator of groups at first
				return client.Commit(ctx, broker.Commit{
					Group: s.TopicPrefix + issuerGroup, Generation: -1, Topic: s.TopicPrefix + event.TopicRequests,
					Offset: broker.Offset{Offset: offset},
				})
			})
		})
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		return couponLog{client, "tea", 0}.decided(ctx)
	}
	want := "the issuer has decided 2 of the 3 requests in " + s.TopicPrefix + "coupon.requests, partition 0"
	if err := decided(2, 10*time.Second); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("said %v", err)
	}
	if err := decided(3, stepTimeout); err != nil {
		t.Error(err)
	}
	if n := len(s.Requests(t, "tea")); n != 2 {
		t.Errorf("%d requests are about tea", n)
	}
}
