// Package arch holds who may import whom (docs/design.md, "Layout").
package arch

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const project = "github.com/firstcome/firstcome/"

// Where an import leads: a path below the project, "std", or the module of somebody else.
const (
	kafkaGo  = "github.com/segmentio/kafka-go"
	goRedis  = "github.com/redis/go-redis"
	pgx      = "github.com/jackc/pgx"
	services = project + "services/"
)

var drivers = []string{kafkaGo, goRedis, pgx}

// A rule speaks of the files below a folder. Of the rules whose folder is a prefix, the longest one counts.
type rule struct {
	folder string
	may    []string // import path prefixes, besides the standard library and the folder itself
	tests  []string // what its tests may import besides
}

var kit = []string{project + "pkg", project + "internal", "go.uber.org/goleak", "github.com/google/go-cmp"}

var rules = []rule{
	{"internal/fcfs", nil, nil},
	{"internal/redislayout", []string{project + "internal/fcfs"}, nil},
	{"internal", []string{project + "internal", "github.com/caarlos0/env", "github.com/prometheus/client_golang"}, kit},
	{"internal/openapi/openapitest", []string{project + "internal", "github.com/getkin/kin-openapi"}, nil},
	{"pkg/event", nil, []string{kafkaGo}},
	{"pkg", []string{project + "pkg", kafkaGo}, nil},
	{"pkg/coupontest", append([]string{project + "pkg", "github.com/testcontainers/", "github.com/twmb/franz-go", "github.com/alicebob/miniredis",
		"github.com/fergusstrange/embedded-postgres", "github.com/docker/", "github.com/moby/"}, drivers...), append([]string{"golang.org/x/"}, kit[2:]...)},
	service("gateway", "golang.org/x/crypto", "golang.org/x/net/netutil", "golang.org/x/time/rate", "github.com/golang-jwt/jwt", "github.com/MicahParks/jwkset",
		"github.com/hashicorp/golang-lru", "github.com/rs/cors"), adapter("gateway", goRedis), command("gateway"),
	{"services/gateway/verdict", []string{project + "internal/fcfs", project + "internal/redislayout"}, nil},
	service("issuer"), adapter("issuer", goRedis), command("issuer"),
	service("ledger"), adapter("ledger", pgx, "github.com/jackc/tern", "github.com/pressly/goose"), command("ledger"),
	{"services/ledger/posting", []string{project + "pkg/event", project + "pkg/consumer"}, kit},
	{"services/ledger/posting/postingtest", []string{project + "pkg/event", project + "internal/fcfs", services + "ledger/posting"}, kit},
	{"cli", []string{project, "github.com/spf13/", "github.com/schollz/progressbar", "github.com/go-analyze/charts", "github.com/prometheus/client_golang", kafkaGo, goRedis, pgx, "golang.org/x/"}, kit},
	{"strategy", []string{goRedis, pgx, "github.com/go-redsync/redsync"}, []string{"github.com/alicebob/miniredis"}},
	{"test", []string{""}, []string{""}},
	{"tools", nil, nil},
	{"examples", []string{""}, []string{""}},
}

func service(name string, more ...string) rule {
	may := []string{project + "pkg", project + "internal", services + name, "github.com/prometheus/client_golang", "golang.org/x/sync"}
	return rule{"services/" + name, append(may, more...), append([]string{goRedis, pgx, "github.com/alicebob/miniredis", "github.com/getkin/kin-openapi"}, kit...)}
}

func adapter(name string, drivers ...string) rule {
	may := append([]string{project + "internal", project + "pkg", services + name}, drivers...)
	return rule{"services/" + name + "/internal", may, append([]string{"github.com/alicebob/miniredis"}, kit...)}
}

func command(name string) rule {
	return rule{"services/" + name + "/cmd", []string{services + name, project + "internal", "github.com/prometheus/client_golang", "golang.org/x/sync"}, nil}
}

func TestImports(t *testing.T) {
	root := moduleRoot(t)
	files := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && (name == "testdata" || strings.HasPrefix(name, ".") && path != root || name == "bin") {
			return fs.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".go" {
			return nil
		}
		files++
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		return check(t, path, filepath.ToSlash(rel))
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 10 {
		t.Fatalf("looked at %d files below %s: that can't be all", files, root)
	}
}

func check(t *testing.T, path, rel string) error {
	r, ok := ruleFor(rel)
	if !ok {
		t.Errorf("%s: no rule for this folder; add one to test/arch", rel)
		return nil
	}
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		return err
	}
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		if problem := r.problem(rel, imported); problem != "" {
			t.Errorf("%s imports %s: %s", rel, imported, problem)
		}
	}
	return nil
}

func ruleFor(rel string) (rule, bool) {
	var best rule
	found := false
	for _, r := range rules {
		if strings.HasPrefix(rel, r.folder+"/") && (!found || len(r.folder) > len(best.folder)) {
			best, found = r, true
		}
	}
	return best, found
}

func (r rule) problem(file, imported string) string {
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		return ""
	}
	may := append([]string{project + r.folder}, r.may...)
	if strings.HasSuffix(file, "_test.go") {
		may = append(may, r.tests...)
	}
	for _, prefix := range may {
		if strings.HasPrefix(imported, prefix) && !forbidden(r.folder, file, imported) {
			return ""
		}
	}
	return "not among what " + r.folder + " may import"
}

// The kit is for tests, and brings sixty modules with it: only local mode runs on its embedded servers, and pkg does not
// even test with it (tests of pkg that need a broker live in the kit's module).
func forbidden(folder, file, imported string) bool {
	if !strings.HasPrefix(imported, project+"pkg/coupontest") {
		return false
	}
	switch {
	case folder == "pkg":
		return true
	case folder == "cli":
		return !strings.HasSuffix(file, "_test.go") && imported != project+"pkg/coupontest/embedded"
	}
	return folder != "test" && folder != "pkg/coupontest" && !strings.HasSuffix(file, "_test.go")
}

func moduleRoot(t *testing.T) string {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("go.work not found above the test")
		}
		dir = parent
	}
}

func TestRulesCatch(t *testing.T) {
	for _, c := range []struct{ file, imported string }{
		{"services/gateway/http.go", services + "issuer"},
		{"services/gateway/http.go", goRedis + "/v9"},
		{"services/gateway/http.go", "github.com/getkin/kin-openapi/openapi3"},
		{"services/issuer/loop.go", kafkaGo},
		{"services/ledger/cmd/ledger/main.go", pgx + "/v5"},
		{"services/ledger/posting/handler.go", pgx + "/v5"},
		{"services/gateway/verdict/verdict.go", services + "gateway/internal/redisstore"},
		{"pkg/producer/producer.go", project + "internal/fcfs"},
		{"pkg/producer/producer.go", project + "pkg/coupontest"},
		{"pkg/event/event.go", kafkaGo},
		{"internal/fcfs/rules.go", project + "internal/env"},
		{"internal/env/env.go", goRedis + "/v9"},
		{"pkg/coupontest/start.go", services + "gateway"},
		{"services/gateway/http.go", project + "pkg/coupontest"},
		{"cli/local.go", project + "pkg/coupontest"},
		{"strategy/log.go", project + "pkg/event"},
		{"strategy/strategytest/suite.go", project + "pkg/coupontest"},
		{"strategy/script_test.go", project + "pkg/coupontest"},
	} {
		r, ok := ruleFor(c.file)
		if !ok || r.problem(c.file, c.imported) == "" {
			t.Errorf("%s may import %s, and must not", c.file, c.imported)
		}
	}
}
