package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What is somebody else's is left alone, and it says what is missing.
func (c *comparing) refused(t *testing.T) {
	c.redis.Set(t.Context(), "somebody's", "precious", 0)
	got := c.run(c.given()...)
	if want := `holds 1 keys, such as "somebody's"`; got.code != exitFailure || !strings.Contains(got.err, want) || !strings.Contains(got.err, "give the address of another server") {
		t.Errorf("exit code %d, says %s; want %s", got.code, got.err, want)
	}
	if value := c.redis.Get(t.Context(), "somebody's").Val(); value != "precious" {
		t.Errorf("the key of somebody else is %q", value)
	}
	c.nothingLeft("refused for a key", "somebody's")
	c.redis.Del(t.Context(), "somebody's")

	c.redis.Set(t.Context(), "firstcome-compare", "compare-other", 0)
	if got, want := c.run(c.given()...), "is that of another compare, compare-other: wait for its end"; got.code != exitFailure || !strings.Contains(got.err, want) {
		t.Errorf("exit code %d, says %s; want %s", got.code, got.err, want)
	}
	c.nothingLeft("refused for another compare", "firstcome-compare")
	c.redis.Del(t.Context(), "firstcome-compare")

	if _, err := c.db.Exec(t.Context(), "CREATE ROLE poor LOGIN PASSWORD 'poor'"); err != nil {
		t.Fatal(err)
	}
	poor := regexp.MustCompile(`//[^@]*@`).ReplaceAllString(c.servers.DatabaseURL, "//poor:poor@")
	for _, refused := range []struct{ flag, value, says string }{
		{"--postgres", poor, "permission denied to create database (SQLSTATE 42501); the role poor needs CREATEDB"},
		{"--redis", "127.0.0.1:1", "redis at 127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused"},
		{"--kafka", "127.0.0.1:1", "kafka at 127.0.0.1:1: "},
	} {
		if got := c.run(append(c.given(), refused.flag, refused.value)...); got.code != exitFailure || !strings.Contains(got.err, refused.says) || strings.Count(got.err, "\n") > 1 {
			t.Errorf("%s: exit code %d, says %s; want %s", refused.flag, got.code, got.err, refused.says)
		}
		c.nothingLeft("refused for " + refused.flag)
	}
}

// However it ends in the middle of a sale of the pipeline: its children end, and nothing is left.
func (c *comparing) ended(t *testing.T, signal os.Signal) {
	said, says, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	cmd := c.command(append(c.given(), "--people", "3000", "--strategy", "log")...)
	cmd.Stderr = says
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	says.Close() // now only it and its children have this end
	eventually(t, "the pipeline sells", func() bool {
		return len(c.redis.Keys(t.Context(), "compare-*:coupon:sale-*").Val()) > 0
	})
	if err := cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || signal == os.Interrupt && exit.ExitCode() != exitFailure {
		t.Errorf("it ended with %v", err)
	}
	if databases, err := c.databases(t.Context()); signal == os.Interrupt && len(databases) > 0 {
		t.Errorf("it has ended before its databases were dropped: %v, %v", databases, err)
	}
	if err := said.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(said)
	if err != nil {
		t.Errorf("children of it live: %v", err)
	}
	if signal == os.Interrupt && string(text) != "firstcome: interrupted\n" {
		t.Errorf("it says %q", text)
	}
	eventually(t, "the pipeline has ended", func() bool { return !strings.Contains(running(t), c.temporary) })
	c.nothingLeft("after " + signal.String())
}

// running are the command lines of all processes.
func running(t *testing.T) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		all, err := exec.Command("ps", "-ww", "-e", "-o", "command=").Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(all)
	}
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(files) == 0 {
		t.Fatalf("no process is seen: %v", err)
	}
	var all strings.Builder
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ESRCH) { // it has ended meanwhile
			t.Fatal(err)
		}
		fmt.Fprintf(&all, "%s\n", line)
	}
	return all.String()
}

// A shop that begins in the middle keeps what it writes, and ends the run.
func (c *comparing) beside(t *testing.T) {
	var errs strings.Builder
	cmd := c.command(append(c.given(), "--people", "3000", "--strategy", "script")...)
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "people ask", func() bool { return len(c.redis.Keys(t.Context(), "coupon:sale-*").Val()) > 0 })
	if n := strings.Count(running(t), c.servers.DatabaseURL); n != 1 {
		t.Errorf("the database's URL stands in %d command lines, and was typed in one", n)
	}
	c.redis.SAdd(t.Context(), "coupon:tea:issued", "ada")
	_ = cmd.Wait()
	if want := `firstcome: somebody else has begun to use this Redis: "coupon:tea:issued" is not a key of compare's; only compare's were removed`; cmd.ProcessState.ExitCode() != exitFailure || !strings.Contains(errs.String(), want) {
		t.Errorf("exit code %d, says %s; want %s", cmd.ProcessState.ExitCode(), errs.String(), want)
	}
	if has := c.redis.SMembers(t.Context(), "coupon:tea:issued").Val(); !slices.Equal(has, []string{"ada"}) {
		t.Errorf("the shop's people are %v", has)
	}
	c.nothingLeft("beside a shop", "coupon:tea:issued")
	c.redis.Del(t.Context(), "coupon:tea:issued")
}
