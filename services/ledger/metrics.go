package ledger

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/services/ledger/posting"
)

type metrics struct {
	grants, definitions, unknown, moved prometheus.Counter
	deadLetters                         *prometheus.CounterVec
	batchSeconds, delaySeconds          prometheus.Histogram
	nextOffset                          *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "coupon", Subsystem: "ledger", Name: name, Help: help}
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts(opts(name, help)))
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "coupon", Subsystem: "ledger", Name: name, Help: help, Buckets: buckets})
	}
	m := &metrics{
		grants:      counter("grants_total", "Grants that this ledger has taken from the journal, those included that were refused as unique violations."),
		definitions: counter("definitions_total", "Definitions that this ledger has taken from the journal."),
		unknown:     counter("unknown_records_total", "Journal records of types that this ledger does not know; passed over."),
		moved: counter("moved_total", "Times that a partition's row was not where this ledger had left it, so that it began again: "+
			"another ledger has taken over, or the database was restored."),
		deadLetters: prometheus.NewCounterVec(prometheus.CounterOpts(opts("dead_letters_total", "Journal records that were not written, by reason. "+
			"Any is an alarm: unique_violation (contradicts what is stored), malformed, not_cloudevent, invalid, wrong_partition, unsupported_rules, too_large.")), []string{"reason"}),
		batchSeconds: histogram("batch_seconds", "Time to read and write a batch, its dead letters included.",
			[]float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}),
		delaySeconds: histogram("delay_seconds", "Time from a request's append time to its grant being in Postgres, for the last grant of each batch.",
			[]float64{.0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60, 600, 3600}),
		nextOffset: prometheus.NewGaugeVec(prometheus.GaugeOpts(opts("next_offset", "Journal offset that comes next, by partition; only for those that this ledger owns.")), []string{"partition"}),
	}
	reg.MustRegister(m.grants, m.definitions, m.unknown, m.moved, m.deadLetters, m.batchSeconds, m.delaySeconds, m.nextOffset)
	return m
}

func (m *metrics) next(partition int32, offset int64) {
	m.nextOffset.WithLabelValues(strconv.Itoa(int(partition))).Set(float64(offset))
}

func (m *metrics) Beginning(partition int32, at posting.Place) { m.next(partition, at.Next) }
func (m *metrics) Moved(int32)                                 { m.moved.Inc() }

func (m *metrics) Revoked(partition int32) {
	m.nextOffset.DeleteLabelValues(strconv.Itoa(int(partition)))
}

func (m *metrics) Buried(letters []posting.Letter) {
	for _, l := range letters {
		m.deadLetters.WithLabelValues(string(l.Reason)).Inc()
	}
}

func (m *metrics) Written(w posting.Written) {
	m.batchSeconds.Observe(w.Took.Seconds())
	m.next(w.Batch.Partition, w.Batch.To.Next)
	m.grants.Add(float64(len(w.Batch.Grants)))
	m.definitions.Add(float64(len(w.Batch.Definitions)))
	for _, n := range w.Unknown {
		m.unknown.Add(float64(n))
	}
	if n := len(w.Batch.Grants); n > 0 {
		m.delaySeconds.Observe(time.Since(w.Batch.Grants[n-1].RequestedAt).Seconds())
	}
}
