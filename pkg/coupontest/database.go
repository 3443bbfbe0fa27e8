package coupontest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

// DatabaseFrom gives the test one more database: a copy of a template that prepare makes (migrates, say) once per test
// binary. The key tells templates apart. It returns the database's URL.
func (s *Servers) DatabaseFrom(t testing.TB, key string, prepare func(ctx context.Context, databaseURL string) error) string {
	t.Helper()
	if s.DatabaseURL == "" {
		t.Fatalf("coupontest: %v", Postgres.missing())
	}
	template, err := s.set.template(key, s.admin, prepare)
	if err != nil {
		t.Fatalf("coupontest: prepare the database %s: %v", key, err)
	}
	return s.createDatabase(t, template)
}

// createDatabase makes a copy of the template, or an empty one, and drops it when the test ends.
func (s *Servers) createDatabase(t testing.TB, template string) string {
	t.Helper()
	name := databaseName()
	command := "CREATE DATABASE " + quoted(name)
	if template != "" {
		command += " TEMPLATE " + quoted(template)
	}
	if s.set.kind.name != attachedKind.name { // without fsync that is twice as fast; with it, and for whoever else is there, slower
		command += " STRATEGY FILE_COPY"
	}
	must(t, "create a database", func(ctx context.Context) error { return order(ctx, s.admin, command) })
	t.Cleanup(func() {
		s.tidy(t, "drop the database", func(ctx context.Context) error { return dropDatabase(ctx, s.admin, name) })
	})
	return databaseURL(s.admin, name)
}

// templates are databases that were prepared once and are copied for each test.
type templates struct {
	mu   sync.Mutex
	made map[string]func() (string, error)
}

func (s *set) template(key, admin string, prepare func(context.Context, string) error) (string, error) {
	m := &s.templates
	m.mu.Lock()
	if m.made == nil {
		m.made = map[string]func() (string, error){}
	}
	if m.made[key] == nil {
		m.made[key] = sync.OnceValues(func() (string, error) { return s.makeTemplate(admin, prepare) })
	}
	get := m.made[key]
	m.mu.Unlock()
	return get()
}

func (s *set) makeTemplate(admin string, prepare func(context.Context, string) error) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), stepTimeout)
	defer cancel()
	name := databaseName()
	if s.kind.name == attachedKind.name { // the others go away with their server
		if err := s.reaper.watch(reapDatabase, name+" "+admin); err != nil {
			return "", err
		}
	}
	if err := order(ctx, admin, "CREATE DATABASE "+quoted(name)); err != nil {
		return "", err
	}
	if err := prepare(ctx, databaseURL(admin, name)); err != nil {
		return "", errors.Join(err, dropDatabase(ctx, admin, name))
	}
	return name, nil
}

// drop matters on attached servers only.
func (m *templates) drop(ctx context.Context, admin string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var problems []error
	for _, get := range m.made {
		if name, err := get(); err == nil {
			problems = append(problems, dropDatabase(ctx, admin, name))
		}
	}
	return errors.Join(problems...)
}

func databaseName() string { return "coupontest_" + strings.ToLower(rand.Text()[:12]) }

func databaseURL(admin, name string) string {
	u, err := url.Parse(admin)
	if err != nil { // it was parsed when the server started
		panic(fmt.Sprintf("coupontest: %v", err))
	}
	u.Path = "/" + name
	return u.String()
}

func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }

// dropDatabase cuts the connections that are left: a test's services may still be going down.
func dropDatabase(ctx context.Context, admin, name string) error {
	return order(ctx, admin, "DROP DATABASE IF EXISTS "+quoted(name)+" WITH (FORCE)")
}

func order(ctx context.Context, admin, command string) error {
	conn, err := pgx.Connect(ctx, admin)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, command)
	return err
}
