package compare

import (
	"context"
	"errors"
	"net/url"
	"os/exec"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/firstcome/firstcome/cli/internal/endpoint"
	"github.com/firstcome/firstcome/strategy"
	"github.com/firstcome/firstcome/strategy/strategytest"
)

// costPeople are asked what a person costs: fewer than the sale's, since a proxy stands in the way.
const costPeople = 500

// stand is one strategy, or the floor, on the servers of the run.
type stand struct {
	place *place
	cfg   Config
	page  strategy.Page

	// Of one step: who is interrupted may look at them after it.
	through  *proxy    // before Redis, where it is counted
	pipeline *pipeline // of log
}

// measure sells with a proxy in the way, sells without, and attacks. What fails is written down, and the rest goes on.
func (s *stand) measure(ctx context.Context) Row {
	row := Row{Page: s.page, Faults: make(map[strategy.Fault]int)}
	for _, step := range []func(s *stand, t *trial, row *Row){(*stand).cost, (*stand).speed, (*stand).attack} {
		if ctx.Err() == nil {
			own := *s
			row.Wrong = append(row.Wrong, try(ctx, func(t *trial) { step(&own, t, &row) })...)
		}
	}
	return row
}

func (s *stand) cost(t *trial, row *Row) {
	through, err := s.place.count()
	check(t, err)
	s.through = through
	t.Cleanup(func() { check(t, through.close()) })
	size := s.cfg.short(costPeople)
	sold := s.sale(t, row, size, "sale behind a proxy")
	people := float64(len(sold.told))
	row.Trips, row.Bytes = float64(sold.redis.trips)/people, float64(sold.redis.bytes)/people
	row.Told = true
}

func (s *stand) speed(t *trial, row *Row) {
	sold := s.sale(t, row, s.cfg.short(s.cfg.People), "sale")
	if s.page.Name == floorName {
		for range 2 { // it is soon over, and all others are measured by it: the fastest of three
			if again := s.sale(t, row, s.cfg.short(s.cfg.People), "sale"); again.took < sold.took {
				sold = again
			}
		}
		row.OfFloor = 1
	}
	row.PerSecond, row.Waits, row.Sold = sold.peopleASecond(), sold.waits, true
}

// sale begins with an empty Redis.
func (s *stand) sale(t *trial, row *Row, size Size, what string) sold {
	s.lose(t)
	one := s.cfg.Begin(s.page.Name+": "+what, int64(size.People))
	s.open(t)
	shop, subject := strategy.Strategy(floor{Redis: s.connect(t)}), strategytest.Subject{}
	if s.page.Name != floorName {
		subject = s.subject(t)
		shop = subject.New(t)
	}
	server := func() *strategytest.Server { return strategytest.StartServer(t, s.command("--patiently")) }
	sold := sell(t, shop, size, server, s.through, one)
	if s.page.Name == floorName {
		return sold
	}
	after := subject.Sale(t, shop, sold.couponID, size.Limit, sold.told)
	if s.pipeline != nil {
		after.Arrived = s.arrived(t, sold.couponID)
	}
	faults := strategy.Count(after)
	row.count(what, faults)
	for fault, n := range faults {
		if !slices.Contains(s.page.Fails, fault) {
			t.Errorf("%s: %d times %s, and the page of %s does not say so", what, n, fault, s.page.Name)
		}
	}
	return sold
}

func (s *stand) attack(t *trial, row *Row) {
	if s.page.Name == floorName {
		return
	}
	s.open(t)
	step := func(attack string) { s.cfg.Begin(s.page.Name+": "+attack, -1) }
	for _, a := range strategytest.Attack(t, s.subject(t), step) {
		row.count(a.Name, a.Faults)
	}
}

// open starts the pipeline where it is what sells.
func (s *stand) open(t *trial) {
	if s.page.Name != "log" {
		return
	}
	l, err := startPipeline(t.ctx, s.place, s.through)
	check(t, err)
	s.pipeline = l
	t.Cleanup(func() {
		if err := l.stop(); err != nil && t.run.Err() == nil {
			t.Errorf("%v", err)
		}
	})
}

func (s *stand) subject(t strategytest.T) strategytest.Subject {
	command := func(strategytest.T) *exec.Cmd { return s.command() }
	switch s.page.Name {
	case "postgres":
		return strategytest.OnPostgres(s.pool, command)
	case "log":
		return strategytest.OnLog(s.pipeline.shop(), command, s.arrived, s.settle, s.lose, s.kill)
	}
	return strategytest.OnRedis(s.page.Name, s.connect, command, s.lose)
}

// command is a server of the shop.
func (s *stand) command(flags ...string) *exec.Cmd {
	cmd := exec.Command(s.place.program, append([]string{"compare", "shop", s.page.Name}, flags...)...)
	cmd.Env = s.place.environ(s.through)
	if s.page.Name == "postgres" {
		cmd.Env = append(cmd.Env, endpoint.DatabaseURL+"="+pooled(s.place.Database, s.cfg.Size.Servers))
	}
	if s.pipeline != nil {
		for _, name := range []string{endpoint.GatewayURL, endpoint.LedgerURL} {
			cmd.Env = append(cmd.Env, name+"="+s.pipeline.doors[name])
		}
	}
	apart(cmd)
	return cmd
}

// Connections to Postgres, of which a server has 100 where nobody said otherwise: those of all of a shop's servers, of which
// the crowd has at least four, and those of each pool besides.
const (
	shopConns = 64
	ownConns  = 8
)

// pooled gives each of the servers its share.
func pooled(database string, servers int) string {
	u, err := url.Parse(database)
	if err != nil {
		return database // which the pool refuses
	}
	query := u.Query()
	query.Set("pool_max_conns", strconv.Itoa(shopConns/max(servers, 4)))
	u.RawQuery = query.Encode()
	return u.String()
}

func (s *stand) connect(t strategytest.T) *redis.Client {
	client, err := s.place.redis()
	check(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func (s *stand) pool(t strategytest.T, application string) *pgxpool.Pool {
	cfg, err := pgxpool.ParseConfig(s.place.Database)
	check(t, err)
	cfg.MaxConns = ownConns
	if application != "" {
		cfg.ConnConfig.RuntimeParams["application_name"] = application
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	check(t, err)
	t.Cleanup(pool.Close)
	return pool
}

func (s *stand) lose(t strategytest.T) {
	client, err := s.place.redis()
	check(t, err)
	defer client.Close()
	err = empty(t.Context(), client, s.place.RedisPrefix)
	if errors.Is(err, errForeign) {
		s.place.abandon(err)
	}
	check(t, err)
}

func (s *stand) kill(t strategytest.T) {
	check(t, s.pipeline.restart(t.Context()))
}

func (s *stand) witness(t strategytest.T, couponID string) (witness, func()) {
	client, err := s.place.broker()
	check(t, err)
	w, err := newWitness(t.Context(), client, couponID)
	if err != nil {
		client.Close()
	}
	check(t, err)
	return w, client.Close
}

func (s *stand) arrived(t strategytest.T, couponID string) []string {
	w, end := s.witness(t, couponID)
	defer end()
	order, err := w.arrived(t.Context())
	check(t, err)
	return order
}

func (s *stand) settle(t strategytest.T, couponID string) {
	w, end := s.witness(t, couponID)
	defer end()
	check(t, w.settle(t.Context(), s.pipeline.shop()))
}

func check(t strategytest.T, err error) {
	if err != nil {
		t.Fatalf("%v", err)
	}
}
