// Package endpoint finds the servers that a command talks to: by its flags, then the environment, then the file that
// local mode writes into its data folder.
package endpoint

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Names of the endpoints, in the order of the file.
const (
	GatewayURL      = "GATEWAY_URL"
	GatewayAdminURL = "GATEWAY_ADMIN_URL"
	LedgerURL       = "LEDGER_URL"
	KafkaBrokers    = "KAFKA_BROKERS"
	RedisAddr       = "REDIS_ADDR"
	DatabaseURL     = "DATABASE_URL"
	TopicPrefix     = "KAFKA_TOPIC_PREFIX"
	RedisPrefix     = "REDIS_PREFIX"
)

var names = []string{GatewayURL, GatewayAdminURL, LedgerURL, KafkaBrokers, RedisAddr, DatabaseURL, TopicPrefix, RedisPrefix}

// Names are all endpoints, in the order in which they are shown.
func Names() []string { return slices.Clone(names) }

// File is the file of a data folder that holds its endpoints, one NAME=value a line, as a shell or make reads it.
const File = "endpoints.env"

// Path is where the endpoints of a data folder stand.
func Path(dataDir string) string { return filepath.Join(dataDir, File) }

// Write replaces the file in one step, so that a reader sees all of the old or all of the new. Only its owner may read
// it, since the database's URL has a password. Names without a value are left out.
func Write(path string, values map[string]string) error {
	var text strings.Builder
	for _, name := range names {
		if strings.ContainsAny(values[name], "\r\n") {
			return fmt.Errorf("%s has more than one line", name)
		}
		if values[name] != "" {
			fmt.Fprintf(&text, "%s=%s\n", name, quote(values[name]))
		}
	}
	f, err := os.CreateTemp(filepath.Dir(path), File+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text.String())
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// quote keeps a value one word for a shell that reads the file, as where a database URL holds &. What no shell touches in
// an assignment stays plain, for readers that know no quotes.
func quote(value string) string {
	if strings.ContainsAny(value, " \t\"'`$&;|<>()#\\") || strings.TrimSpace(value) != value {
		return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
	}
	return value
}

// Read reads what Write wrote, or an owner edited: comments and empty lines are skipped.
func Read(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	values := make(map[string]string)
	lines, n := bufio.NewScanner(f), 1
	for ; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fmt.Errorf("%s, line %d: not of the form NAME=value", path, n)
		}
		values[name] = unquote(value)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s, line %d: %w", path, n, err)
	}
	return values, nil
}

func unquote(value string) string {
	if len(value) < 2 || value[0] != '\'' || value[len(value)-1] != '\'' {
		return value
	}
	return strings.ReplaceAll(value[1:len(value)-1], `'\''`, "'")
}

// Finder looks endpoints up.
type Finder struct {
	Flags   map[string]string   // by endpoint name; "" = not given
	Getenv  func(string) string // os.Getenv, unless a test says otherwise
	DataDir string
}

// MissingError says which endpoints could not be found, and where they were looked for.
type MissingError struct {
	Names []string
	Path  string
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("no %s: not given by a flag, not in the environment, and not in %s (is `firstcome local` running?)", strings.Join(e.Names, ", "), e.Path)
}

// Find looks up all endpoints and fails where one of the needed is nowhere. The file answers only for servers of which
// none was named by a flag or the environment: Kafka from one place and Redis from another would be a mixture of two
// pipelines, and whoever audits that sees differences that are none.
func (f Finder) Find(needed ...string) (map[string]string, error) {
	found := make(map[string]string)
	for _, name := range names {
		if value := f.given(name); value != "" {
			found[name] = value
		}
	}
	missing := absent(found, needed)
	if len(missing) == len(needed) {
		written, err := Read(Path(f.DataDir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for name, value := range written {
			if found[name] == "" {
				found[name] = value
			}
		}
		missing = absent(found, needed)
	}
	if len(missing) > 0 {
		return nil, &MissingError{Names: missing, Path: Path(f.DataDir)}
	}
	return found, nil
}

func (f Finder) given(name string) string {
	if value := f.Flags[name]; value != "" {
		return value
	}
	if f.Getenv != nil {
		return f.Getenv(name)
	}
	return os.Getenv(name)
}

func absent(found map[string]string, needed []string) []string {
	var missing []string
	for _, name := range needed {
		if found[name] == "" {
			missing = append(missing, name)
		}
	}
	return missing
}
