//go:build linux || darwin

package embedded

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The tests of a killed run need a process to kill: this test binary once more, playing a part.
const (
	partVariable = "EMBEDDED_PART"
	dirVariable  = "EMBEDDED_DIR"
)

func TestMain(m *testing.M) {
	parts := map[string]func(dir string) error{
		"":         nil,
		"kafka":    playKafka,
		"postgres": playPostgres,
		"lifetime": playLifetime,
	}
	play := parts[os.Getenv(partVariable)]
	if play == nil {
		os.Exit(m.Run())
	}
	if err := play(os.Getenv(dirVariable)); err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

// forever ends with the parent, should it die before it kills us.
func forever() { _, _ = io.Copy(io.Discard, os.Stdin) }

func playKafka(dir string) error {
	k, err := StartKafka(KafkaConfig{Dir: dir})
	if err != nil {
		return err
	}
	if err := produce(context.Background(), k.Brokers()[0], 100); err != nil {
		return err
	}
	fmt.Println(k.Brokers()[0])
	forever()
	return nil
}

func playPostgres(dir string) error {
	p, err := StartPostgres(context.Background(), PostgresConfig{Dir: dir})
	if err != nil {
		return err
	}
	if err := write(context.Background(), p.URL(), "before the kill"); err != nil {
		return err
	}
	fmt.Println(p.process.pid())
	forever()
	return nil
}

// playLifetime is a whole one: start, write, stop, start again, read.
func playLifetime(dir string) error {
	ctx := context.Background()
	for i := range 2 {
		p, err := StartPostgres(ctx, PostgresConfig{Dir: dir, Unsafe: true})
		if err != nil {
			return err
		}
		if err := write(ctx, p.URL(), fmt.Sprint("lifetime ", i)); err != nil {
			return err
		}
		lines, err := read(ctx, p.URL())
		if err != nil {
			return err
		}
		fmt.Println(os.Geteuid(), p.DataDir(), strings.Join(lines, ","))
		if err := p.Close(); err != nil {
			return err
		}
	}
	return nil
}

// child starts this test binary in that part and returns it with its first line.
func child(t *testing.T, part, dir string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), partVariable+"="+part, dirVariable+"="+dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill9(cmd) })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || strings.HasPrefix(line, "failed") {
		t.Fatalf("the child said %q, %v", line, err)
	}
	return cmd, strings.TrimSpace(line)
}

func kill9(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// openDir is a folder that every account may enter, unlike t.TempDir.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "embedded-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// asNobody runs a part to its end under an account without rights, which needs a program it can reach and a home.
func asNobody(t *testing.T, part, dir string) (string, error) {
	t.Helper()
	nobody, err := accountFor(dir)
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(openDir(t), "program")
	text, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, text, 0o755); err != nil {
		t.Fatal(err)
	}
	home := openDir(t)
	if err := nobody.own(home, dir); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Dir = home
	cmd.Env = []string{
		"HOME=" + home, "PATH=" + os.Getenv("PATH"), partVariable + "=" + part, dirVariable + "=" + dir,
		"FIRSTCOME_POSTGRES_BIN=" + os.Getenv("FIRSTCOME_POSTGRES_BIN"),
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody.uid, Gid: nobody.gid}}
	if !nobody.other() { // we are such an account ourselves
		cmd.SysProcAttr = nil
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func umask(mask int) int { return syscall.Umask(mask) }
