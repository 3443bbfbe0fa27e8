//go:build linux || darwin

package coupontest_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	osexec "os/exec"
	"strings"
	"testing"
	"time"

	"github.com/firstcome/firstcome/pkg/coupontest"
)

// TestEnd is run by TestReaper in a process of its own.
func TestEnd(t *testing.T) {
	how := os.Getenv(endVariable)
	if how == "" {
		return
	}
	s := coupontest.Start(t, coupontest.Redis, coupontest.Postgres)
	fmt.Println("servers", s.RedisAddr, hostOf(t, s.DatabaseURL))
	switch how {
	case "panic":
		panic("as some tests do")
	case "exit":
		os.Exit(3)
	case "fail":
		t.Fatal("as some tests do")
	case "pass", "bare": // which is without Main
	default:
		_, _ = io.Copy(io.Discard, os.Stdin) // until we are killed, or the parent is
	}
}

func hostOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

func TestReaper(t *testing.T) {
	if os.Getenv(coupontest.EnvServers) == "attach" {
		return // nothing is started then, so there is nothing to stop
	}
	for _, how := range []string{"pass", "fail", "bare", "panic", "exit", "kill"} { // a time-out is a panic, too
		t.Run(how, func(t *testing.T) {
			cmd := osexec.Command(os.Args[0], "-test.run=^TestEnd$", "-test.v")
			cmd.Env = append(os.Environ(), endVariable+"="+how)
			addresses := runToServers(t, cmd)
			if how == "kill" {
				_ = cmd.Process.Kill()
			}
			if err := cmd.Wait(); (err == nil) != (how == "pass" || how == "bare") {
				t.Errorf("ended with %v", err)
			}
			for _, address := range addresses {
				awaitGone(t, address)
			}
		})
	}
}

// runToServers starts the process and returns the addresses that it tells.
func runToServers(t *testing.T, cmd *osexec.Cmd) []string {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	var said []string
	for lines.Scan() {
		if addresses, ok := strings.CutPrefix(lines.Text(), "servers "); ok {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return strings.Fields(addresses)
		}
		said = append(said, lines.Text())
	}
	t.Fatalf("no servers: %v\n%s", cmd.Wait(), strings.Join(said, "\n"))
	return nil
}

func awaitGone(t *testing.T, address string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return
		}
		conn.Close()
		select {
		case <-ctx.Done():
			t.Errorf("%s still answers", address)
			return
		case <-tick.C:
		}
	}
}
