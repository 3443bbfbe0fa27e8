package audit

import (
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
	"github.com/firstcome/firstcome/pkg/event"
)

const requestsTopic = event.TopicRequests

// world is a partition on which everything is as it should be, until a test puts its hand in.
type world struct {
	t       *testing.T
	log     []event.Record
	start   int64 // of the log
	upTo    int64 // progress
	journal []event.Record
	redis   redisState
	ledger  ledgerState
	letters []deadLetter
}

var morning = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// newWorld: tea, three of it in the end, to ada, bob and cyd; lunch, one each day in Seoul, to ada and dan; and a record
// that nobody can read.
func newWorld(t *testing.T) *world {
	w := &world{t: t}
	tea := event.CouponDefined{CouponID: "tea", Limit: 2, Window: "none", TimeZone: "UTC", ClosesAt: morning.Add(100 * time.Hour)}
	w.define(0, tea)                                                                                                   // 0
	w.claim(0, "tea", "ada")                                                                                           // 1
	w.claim(time.Second, "tea", "ada")                                                                                 // 2 already_issued
	w.claim(2*time.Second, "tea", "bob")                                                                               // 3
	w.claim(2*time.Second, "tea", "cyd")                                                                               // 4 sold_out
	w.append(3*time.Second, event.Message{Key: []byte("tea"), Value: []byte("garbage")})                               // 5
	w.define(4*time.Second, event.CouponDefined{CouponID: "lunch", Limit: 1, Window: "daily", TimeZone: "Asia/Seoul"}) // 6
	w.claim(5*time.Second, "lunch", "ada")                                                                             // 7
	tea.Limit = 3
	w.define(6*time.Second, tea)          // 8
	w.claim(7*time.Second, "tea", "cyd")  // 9
	w.claim(24*time.Hour, "lunch", "dan") // 10
	w.claim(24*time.Hour, "milk", "dan")  // 11 unknown_coupon
	w.settle()
	return w
}

func (w *world) append(after time.Duration, m event.Message) {
	offset := int64(len(w.log))
	w.log = append(w.log, event.Record{Topic: requestsTopic, Offset: offset, LastOffset: offset, Time: morning.Add(after), LogAppendTime: true, Key: m.Key, Value: m.Value, Headers: m.Headers})
}

func (w *world) define(after time.Duration, d event.CouponDefined) {
	m, err := d.Message(event.Meta{Source: "/test", CorrelationID: "c" + strconv.Itoa(len(w.log))})
	if err != nil {
		w.t.Fatal(err)
	}
	w.append(after, m)
}

func (w *world) claim(after time.Duration, couponID, userID string) {
	m, err := event.ClaimRequested{CouponID: couponID, UserID: userID}.Message(event.Meta{Source: "/test", CorrelationID: "c" + strconv.Itoa(len(w.log))})
	if err != nil {
		w.t.Fatal(err)
	}
	w.append(after, m)
}

// settle writes what the log leads to everywhere.
func (w *world) settle() {
	o := newOracle(0, 1)
	for _, r := range w.log {
		o.take(r)
	}
	w.upTo = o.last
	for i, offset := range o.facts.sorted() {
		w.journal = append(w.journal, w.written(o.facts[offset], int64(i)))
	}
	w.redis = redisOf(o)
	w.ledger = ledgerState{known: true, next: int64(len(w.journal)), highest: slices.Max(o.facts.sorted()), facts: maps.Clone(o.facts), grantIDs: map[int64]string{}}
	for offset, f := range w.ledger.facts {
		if f.Granted != nil {
			w.ledger.grantIDs[offset] = fcfs.GrantID(requestsTopic, f.Source)
		}
	}
	for offset, dead := range o.dead {
		w.letters = append(w.letters, deadLetter{topic: requestsTopic, offset: offset, reason: dead.reason})
	}
}

func (w *world) written(f fcfs.Fact, at int64) event.Record {
	m, err := message(requestsTopic, f)
	if err != nil {
		w.t.Fatal(err)
	}
	return event.Record{Topic: event.TopicGrants, Offset: at, LastOffset: at, Time: m.Time, Key: m.Key, Value: m.Value, Headers: m.Headers}
}

func redisOf(o *oracle) redisState {
	s := redisState{
		progress: &redislayout.Progress{Offset: o.last, AppendTime: o.lastAt, LogTime: o.log.LogTime()},
		retire:   map[string]float64{}, hashes: map[string]map[string]string{}, people: map[window]map[string]string{},
	}
	for id, c := range o.log.Coupons() {
		d := c.Definitions()
		last := d[len(d)-1]
		s.coupons = append(s.coupons, id)
		hash := map[string]string{
			redislayout.FieldCurrent: strconv.FormatInt(last.Offset, 10), redislayout.FieldLimit: strconv.FormatInt(last.Limit, 10),
			redislayout.FieldDefinitions: strconv.Itoa(len(d)), redislayout.FieldTotal: strconv.FormatInt(c.Total(), 10),
		}
		for _, one := range d {
			hash[redislayout.DefinitionField(one.Offset)] = redislayout.EncodeDefinition(one.Definition)
		}
		for _, name := range c.Windows() {
			hash[redislayout.GrantedField(name)] = strconv.FormatInt(c.Count(name), 10)
			people := map[string]string{}
			for user, entry := range c.People(name) {
				people[user] = redislayout.Entry(entry).String()
			}
			s.people[window{id, name}] = people
			if at, ever := last.DropAt(name); ever && at > o.log.LogTime() {
				s.retire[redislayout.RetireMember(id, name)] = float64(at)
			}
		}
		s.hashes[id] = hash
	}
	return s
}

// look is what the auditor does with what it has read.
func (w *world) look() look {
	journal := journalState{end: int64(len(w.journal)), facts: facts{}, at: map[int64]int{}}
	for i, r := range w.journal {
		r.Offset, r.LastOffset = int64(i), int64(i)
		journal.take(r)
	}
	l := look{oracle: newOracle(0, 1), start: w.start, compared: Compared{Partitions: 1}}
	l.differences = l.oracle.seed(journal.facts, w.start)
	for _, r := range w.log {
		if r.Offset >= w.start && r.Offset <= w.upTo {
			l.oracle.take(r)
		}
	}
	l.compare(requestsTopic, journal, w.redis, w.ledger)
	l.differences = append(l.differences, compareDeadLetters(requestsTopic, []look{l}, w.letters)...)
	l.count(journal, w.redis, w.ledger)
	return l
}
