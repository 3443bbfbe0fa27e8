package gateway

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/firstcome/firstcome/internal/telemetry"
)

type metrics struct {
	http      *telemetry.HTTPMetrics
	claims    *prometheus.CounterVec
	append    prometheus.Histogram
	messages  *prometheus.CounterVec
	reachable *prometheus.GaugeVec
	streams   *prometheus.GaugeVec
	dropped   prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, waiting, inFlight func() int) *metrics {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "coupon", Subsystem: "gateway", Name: name, Help: help}
	}
	m := &metrics{
		http: telemetry.NewHTTPMetrics(reg, "gateway"),
		claims: prometheus.NewCounterVec(prometheus.CounterOpts(opts("claims_total",
			"Claims by what the door did with them: appended, held (guard or Idempotency-Key of another request), replayed (the same "+
				"claim under its Idempotency-Key), key_reused (the key belongs to another claim), shed (the log is slow), busy (too "+
				"many at once), failed, or the outcome of an early refusal.")), []string{"result"}),
		append: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "coupon", Subsystem: "gateway", Name: "append_seconds",
			Help:    "Time until all in-sync replicas had a record, or the gateway gave up.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2, 4},
		}),
		messages: prometheus.NewCounterVec(prometheus.CounterOpts(opts("outcomes_messages_total",
			"Messages of the outcomes channel, by result: heard, unreadable.")), []string{"result"}),
		reachable: prometheus.NewGaugeVec(prometheus.GaugeOpts(opts("server_reachable",
			"1 while a server answers, by server: kafka, redis.")), []string{"server"}),
		streams: prometheus.NewGaugeVec(prometheus.GaugeOpts(opts("streams",
			"Streams of server-sent events that are open, by kind: claim, coupons.")), []string{"kind"}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts(opts("streams_dropped_total",
			"Streams that were broken off since nobody read what was written."))),
	}
	waiters := prometheus.NewGaugeFunc(prometheus.GaugeOpts(opts("waiters",
		"People who wait for their outcome right now.")), func() float64 { return float64(waiting()) })
	flight := prometheus.NewGaugeFunc(prometheus.GaugeOpts(opts("in_flight_claims",
		"Claims between having been read and being in the log, right now.")), func() float64 { return float64(inFlight()) })
	reg.MustRegister(m.claims, m.append, m.messages, m.reachable, m.streams, m.dropped, waiters, flight)
	return m
}
