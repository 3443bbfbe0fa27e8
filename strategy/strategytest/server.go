package strategytest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"

	"github.com/firstcome/firstcome/strategy"
)

// Server is a server of a shop: a process of its own that runs Serve. It can be killed and paused.
type Server struct {
	cmd *exec.Cmd
	in  io.Writer

	mu      sync.Mutex
	last    int
	waiting map[int]chan string // for what is said of a request; a claim is through with the first
	told    []strategy.Told     // every answer, also those that nobody waited for any more
	people  map[int]string      // of claims that are not answered
	away    chan struct{}       // closed once it is paused or has ended
	gone    sync.Once
	ended   chan struct{}
}

// errAway says that a server was killed or paused before it answered.
var errAway = errors.New("the server is away")

// StartServer starts a command that runs Serve on its standard input and output. It is killed when the test ends.
func StartServer(t T, cmd *exec.Cmd) *Server {
	t.Helper()
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatalf("%v", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatalf("%v", err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v", err)
	}
	s := &Server{cmd: cmd, in: in, waiting: make(map[int]chan string), people: make(map[int]string), away: make(chan struct{}), ended: make(chan struct{})}
	go s.read(out)
	t.Cleanup(s.Kill)
	return s
}

// Kill ends the process as kill -9 does, and returns when it has ended and everything it had said was heard.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill()
	<-s.ended
}

func (s *Server) leave() { s.gone.Do(func() { close(s.away) }) }

func (s *Server) read(out io.Reader) {
	defer close(s.ended)
	defer func() { _ = s.cmd.Wait() }()
	defer s.leave()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		number, said, _ := strings.Cut(lines.Text(), " ")
		n := 0
		_, _ = fmt.Sscan(number, &n)
		s.hear(n, said)
	}
}

func (s *Server) hear(number int, said string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	heard := s.waiting[number]
	if user, claimed := s.people[number]; claimed {
		delete(s.people, number)
		delete(s.waiting, number)
		if told, known := words[said]; known && !errors.Is(told.Err, strategy.ErrBusy) {
			told.UserID = user
			s.told = append(s.told, told)
		}
	}
	if heard != nil {
		heard <- said
	}
}

// Told is every answer that it gave so far.
func (s *Server) Told() []strategy.Told {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.told[:len(s.told):len(s.told)]
}

// Unanswered is how many claims it has not answered.
func (s *Server) Unanswered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.people)
}

// ask sends a request; what is answered to it comes by the channel.
func (s *Server) ask(user, what string) (number int, heard chan string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	number, heard = s.last, make(chan string, 2)
	s.waiting[number] = heard
	if user != "" {
		s.people[number] = user
	}
	if _, err := fmt.Fprintln(s.in, number, what); err != nil {
		return 0, nil, errAway
	}
	return number, heard, nil
}

// Claim asks for a person, and returns what was answered or that the server is away.
func (s *Server) Claim(couponID, userID string) (strategy.Told, error) {
	_, heard, err := s.ask(userID, "claim "+couponID+" "+userID)
	if err != nil {
		return strategy.Told{}, err
	}
	select {
	case said := <-heard:
		told, known := words[said]
		if !known {
			return strategy.Told{}, errors.New(said)
		}
		told.UserID = userID
		return told, nil
	case <-s.away:
		return strategy.Told{}, errAway
	}
}

// warm returns when it has answered, as a server that has been there for a while.
func (s *Server) warm() error {
	_, heard, err := s.ask("", "claim nothing nobody")
	if err != nil {
		return err
	}
	select {
	case said := <-heard:
		if said != "not-found" {
			return errors.New(said)
		}
		return nil
	case <-s.away:
		return errAway
	}
}

// Work makes it the worker of a coupon.
func (s *Server) Work(couponID string) error {
	_, _, err := s.ask("", "work "+couponID)
	return err
}

// Before has it stop before its next command of that name, in all that it does; reached waits until it stands there, release
// lets it go on.
func (s *Server) Before(t T, command string) (reached, release func()) {
	t.Helper()
	number, heard, err := s.ask("", "before "+command)
	if err != nil {
		t.Fatalf("%v", err)
	}
	hear := func() {
		t.Helper()
		await(t, "a server that stands before "+command, func() bool {
			select {
			case <-heard:
				return true
			case <-s.away:
				t.Fatalf("the server ended before it stood before %s", command)
			default:
			}
			return false
		})
	}
	hear() // set
	return hear, func() { fmt.Fprintln(s.in, number, "release") }
}
