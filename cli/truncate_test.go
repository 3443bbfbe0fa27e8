package cli

import (
	"strings"
	"testing"

	"github.com/firstcome/firstcome/pkg/event"
)

// truncate is what retention does.
func (s *still) truncate(offset int64) {
	s.t.Helper()
	s.servers.Truncate(s.t, s.servers.TopicPrefix+event.TopicRequests, 0, offset)
}

// Where retention took the log's start, the journal stands in for it; what it says is compared as before.
func TestAudit_TruncatedLog(t *testing.T) {
	s := newStill(t)
	person := s.someone()
	entry := s.redis.HGet(t.Context(), s.keys.Granted("tea", ""), person).Val()
	s.truncate(12)
	got := s.audit()
	if got.code != exitOK || !strings.Contains(got.out, "no difference; the log leads to 3 definitions and 21 grants") {
		t.Errorf("a log without its start: %+v", got)
	}
	s.do("HDEL", s.keys.Granted("tea", ""), person)
	if got := s.audit(); got.code != exitFailure || !strings.Contains(got.out, "is missing in coupon tea, sequence") {
		t.Errorf("a person is gone, and the log of it too: %+v", got)
	}
	s.do("HSET", s.keys.Granted("tea", ""), person, entry)
	s.truncate(s.end())
	if got := s.audit(); got.code != exitOK {
		t.Errorf("a log of which nothing is left: %+v", got)
	}
}

func (s *still) end() int64 {
	s.t.Helper()
	client := s.servers.Kafka(s.t)
	_, end, err := client.Bounds(s.t.Context(), client.Config().Topic(event.TopicRequests), 0)
	if err != nil {
		s.t.Fatal(err)
	}
	return end
}
