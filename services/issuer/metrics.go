package issuer

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/services/issuer/partition"
)

type metrics struct {
	decisions, recoveries, deadLetters       *prometheus.CounterVec
	emitted, restored, reemitted, unwaked    prometheus.Counter
	unknown                                  prometheus.Counter
	batchRecords, decideSeconds, emitSeconds prometheus.Histogram
	lag, age, waiting, progress              *prometheus.GaugeVec
	stopped                                  prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "coupon", Subsystem: "issuer", Name: name, Help: help}
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts(opts(name, help)))
	}
	counters := func(name, label, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts(opts(name, help)), []string{label})
	}
	gauges := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts(opts(name, help+" By partition; only for those that this issuer owns.")), []string{"partition"})
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "coupon", Subsystem: "issuer", Name: name, Help: help, Buckets: buckets})
	}
	seconds := []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}
	m := &metrics{
		decisions: counters("decisions_total", "outcome", "Records decided, by outcome: granted, already_issued, sold_out, not_open, closed, "+
			"unknown_coupon, invalid; of definitions created, changed, conflict, retired. What is decided again after a crash or a rewound Redis counts again."),
		recoveries: counters("recoveries_total", "kind", "Times that the assignment path was taken: assigned (a partition was given to this issuer), "+
			"emptied (progress was missing), rewound (it was lower), rejoin (it was higher: another owner), raced (it moved meanwhile), unknown_result, log_moved, confirm (something seemed lost), recheck, failed."),
		deadLetters: counters("dead_letters_total", "reason", "Records that became dead letters: malformed, not_cloudevent, unknown_type, invalid, "+
			"wrong_partition, unsupported_rules, too_large."),
		emitted:       counter("emitted_total", "Facts that the journal acknowledged."),
		restored:      counter("restored_total", "Facts that were taken from the journal into Redis."),
		unknown:       counter("unknown_records_total", "Journal records of types that this issuer does not know, passed over in a rebuild: it is older than who wrote them."),
		reemitted:     counter("reemitted_total", "Facts that a former owner had decided and not emitted."),
		unwaked:       counter("publish_failures_total", "Batches whose outcomes could not be published: those who wait learn them later."),
		batchRecords:  histogram("batch_records", "Records decided by one script call.", prometheus.ExponentialBuckets(1, 4, 8)),
		decideSeconds: histogram("decide_seconds", "Time from giving a batch to Redis to its answer, batches ahead of it included.", seconds),
		emitSeconds:   histogram("emit_seconds", "Time from producing facts to the journal's acknowledgement.", seconds),
		lag:           gauges("lag_records", "Records of the requests log that are not decided."),
		age:           gauges("age_seconds", "How long the oldest record that was fetched has waited for its decision; 0 where none waits."),
		waiting:       gauges("outbox_facts", "Facts that were decided and that the journal has not acknowledged."),
		progress:      gauges("progress_offset", "Last offset decided, -1 before the first."),
		stopped: prometheus.NewGauge(prometheus.GaugeOpts(opts("stopped_partitions",
			"Partitions that stand still because something was lost. Any is an alarm; the log says what was lost and what can be done."))),
	}
	for o := fcfs.Granted; o.Valid(); o++ {
		m.decisions.WithLabelValues(o.String())
	}
	for _, kind := range sessions {
		m.recoveries.WithLabelValues(kind)
	}
	reg.MustRegister(m.decisions, m.recoveries, m.deadLetters, m.emitted, m.restored, m.unknown, m.reemitted, m.unwaked, m.batchRecords,
		m.decideSeconds, m.emitSeconds, m.lag, m.age, m.waiting, m.progress, m.stopped)
	return m
}

// rejoin is the one session that the machine itself does not begin.
const rejoin = "rejoin"

var sessions = []string{
	partition.Assigned, partition.Emptied, partition.Rewound, rejoin, partition.Raced, partition.UnknownResult, partition.LogMoved,
	partition.Confirm, partition.Recheck, partition.Failed,
}

// gauges are those of one partition.
type gauges struct{ lag, age, waiting, progress prometheus.Gauge }

func (m *metrics) of(p int32) gauges {
	name := strconv.Itoa(int(p))
	return gauges{m.lag.WithLabelValues(name), m.age.WithLabelValues(name), m.waiting.WithLabelValues(name), m.progress.WithLabelValues(name)}
}

func (m *metrics) forget(p int32) {
	name := strconv.Itoa(int(p))
	for _, g := range []*prometheus.GaugeVec{m.lag, m.age, m.waiting, m.progress} {
		g.DeleteLabelValues(name)
	}
}

func (g gauges) set(s partition.Status, now time.Time) {
	g.lag.Set(float64(max(s.LogEnd-1-s.Progress.Offset, 0)))
	g.age.Set(0)
	if !s.Oldest.IsZero() {
		g.age.Set(max(now.Sub(s.Oldest).Seconds(), 0))
	}
	g.waiting.Set(float64(s.Waiting))
	g.progress.Set(float64(s.Progress.Offset))
}

// result counts what was done.
func (m *metrics) result(r partition.Result) {
	switch {
	case r.Kind == partition.Publish:
		for _, o := range r.Outcomes.Outcomes {
			if o != fcfs.None {
				m.decisions.WithLabelValues(o.String()).Inc()
			}
		}
		if r.Err != nil {
			m.unwaked.Inc()
		}
	case r.Err != nil:
	case r.Kind == partition.Decide:
		m.batchRecords.Observe(float64(len(r.Batch.Requests())))
	case r.Kind == partition.Emit:
		m.emitted.Add(float64(len(r.Facts)))
	case r.Kind == partition.DeadLetter:
		for _, q := range r.Batch.Requests() {
			if q.Refused != nil {
				m.deadLetters.WithLabelValues(string(q.Refused.Reason)).Inc()
			}
		}
	}
}
