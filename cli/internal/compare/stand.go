package compare

import (
	"context"
	"os/exec"
	"slices"

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
	place    *place
	cfg      Config
	page     strategy.Page
	through  *proxy    // before Redis, while it counts
	pipeline *pipeline // of log
}

// measure sells with a proxy in the way, sells without, and attacks. What fails is written down, and the rest goes on.
func (s *stand) measure(ctx context.Context) Row {
	row := Row{Page: s.page, Faults: make(map[strategy.Fault]int)}
	for _, step := range []func(t *trial, row *Row){s.cost, s.speed, s.attack} {
		if ctx.Err() == nil {
			row.Wrong = append(row.Wrong, try(ctx, func(t *trial) { step(t, &row) })...)
		}
	}
	return row
}

func (s *stand) cost(t *trial, row *Row) {
	through, err := s.place.count()
	check(t, err)
	s.through = through
	t.Cleanup(func() {
		s.through = nil
		check(t, through.close())
	})
	size := s.cfg.short(costPeople)
	sold := s.sale(t, row, size, "sale behind a proxy")
	people := float64(len(sold.told))
	row.Trips, row.Bytes = float64(sold.redis.trips)/people, float64(sold.redis.bytes)/people
	row.Told = true
}

func (s *stand) speed(t *trial, row *Row) {
	sold := s.sale(t, row, s.cfg.short(s.cfg.People), "sale")
	row.PerSecond, row.Waits, row.Sold = sold.peopleASecond(), sold.waits, true
	if s.page.Name == floorName {
		row.OfFloor = 1
	}
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
		s.pipeline = nil
		if err := l.stop(); err != nil && t.ctx.Err() == nil {
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
	if s.pipeline != nil {
		for _, name := range []string{endpoint.GatewayURL, endpoint.LedgerURL} {
			cmd.Env = append(cmd.Env, name+"="+s.pipeline.doors[name])
		}
	}
	apart(cmd)
	return cmd
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
	check(t, empty(t.Context(), client, s.place.RedisPrefix))
}

func (s *stand) kill(t strategytest.T) {
	s.pipeline.kill()
	check(t, s.pipeline.start(t.Context()))
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
