package coupontest_test

import (
	"testing"

	"github.com/firstcome/firstcome/pkg/coupontest"
)

func TestMain(m *testing.M) { coupontest.Main(m) }

func TestStart_Quick(t *testing.T) {
	s := coupontest.Start(t)
	s.CreateTopics(t, 3)
	t.Log(s.Env())
	v, err := s.Versions(t.Context())
	t.Log(v, err)
	s.FlushRedis(t)
}
